# A child token's one path, wrapped delivery: OpenBao itself refuses to answer the broker with the password in the clear.

path "${mount}/creds/${role}" {
  capabilities     = ["read"]
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = "120s"
}
