# A child token's one path, direct delivery: the password passes through the broker's memory once.

path "${mount}/creds/${role}" {
  capabilities = ["read"]
}
