# A scoped token's one path: reading one secret of a version 2 kv engine. What was read once can't be recalled.

path "${mount}/data/${path}" {
  capabilities = ["read"]
}
