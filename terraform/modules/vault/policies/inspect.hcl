# For outsiders' checks: lists tokens and leases, looks at them, and computes audit hashes. It changes nothing.

path "auth/token/accessors" {
  capabilities = ["list", "sudo"]
}

path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "sys/leases/lookup" {
  capabilities = ["update"]
}

path "sys/leases/lookup/*" {
  capabilities = ["list", "sudo"]
}

path "sys/leases/count" {
  capabilities = ["read"]
}

path "sys/audit-hash/*" {
  capabilities = ["update"]
}
