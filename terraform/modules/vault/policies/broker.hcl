# What the broker may do at OpenBao: mint one-lease child tokens through one token role (and only response-wrapped), look at
# tokens by accessor, revoke them by accessor, and look after its own token. No secrets engine, no policies, no leases.

path "auth/token/create/countersign" {
  capabilities        = ["update"]
  min_wrapping_ttl    = "1s"
  max_wrapping_ttl    = "120s"
  required_parameters = ["policies", "explicit_max_ttl", "meta", "display_name"]
  allowed_parameters = {
    "policies"         = []
    "explicit_max_ttl" = []
    "ttl"              = []
    "renewable"        = [false]
    "meta"             = []
    "display_name"     = []
  }
}

path "auth/token/lookup-accessor" {
  capabilities = ["update"]
}

path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}

path "auth/token/accessors" {
  capabilities = ["list", "sudo"]
}

path "auth/token/lookup-self" {
  capabilities = ["read"]
}

path "auth/token/renew-self" {
  capabilities = ["update"]
}

path "sys/capabilities-self" {
  capabilities = ["update"]
}
