# What Countersign needs at Vault or OpenBao. Policies stand as documents in policies/; the embedded stack loads the same ones.

locals {
  lease_name = "{{ .DisplayName | replace \"token-\" \"\" | replace \"-\" \"_\" }}"

  database_policies = merge([
    for delivery in ["wrapped", "direct"] : {
      for name, role in var.database_roles :
      "countersign-db-${delivery}-${var.mount}-${name}" => templatefile("${path.module}/policies/db-${delivery}.hcl", {
        mount = var.mount
        role  = name
      })
    }
  ]...)

  path_policies = {
    for name, reach in var.kv_paths :
    "countersign-path-${name}" => templatefile("${path.module}/policies/kv-read.hcl", {
      mount = reach.mount
      path  = reach.path
    })
  }
}

resource "vault_policy" "broker" {
  name   = "countersign-broker"
  policy = file("${path.module}/policies/broker.hcl")
}

resource "vault_policy" "inspect" {
  name   = "countersign-inspect"
  policy = file("${path.module}/policies/inspect.hcl")
}

resource "vault_policy" "lease" {
  for_each = merge(local.database_policies, local.path_policies)

  name   = each.key
  policy = each.value
}

# The one door through which the broker makes tokens. They survive the broker's own (orphan), so that its new login kills no lease.
resource "vault_token_auth_backend_role" "countersign" {
  role_name               = "countersign"
  allowed_policies_glob   = ["countersign-db-*", "countersign-path-*"]
  orphan                  = true
  renewable               = false
  token_type              = "service"
  token_no_default_policy = true
  token_explicit_max_ttl  = var.longest_s
}

resource "vault_auth_backend" "approle" {
  type = "approle"
}

resource "vault_approle_auth_backend_role" "broker" {
  backend                 = vault_auth_backend.approle.path
  role_name               = "countersign"
  token_policies          = [vault_policy.broker.name]
  token_no_default_policy = true
  token_period            = 1200
  token_bound_cidrs       = var.broker_cidrs
  secret_id_bound_cidrs   = var.broker_cidrs
}

resource "vault_mount" "database" {
  path                      = var.mount
  type                      = "database"
  default_lease_ttl_seconds = var.longest_s
  max_lease_ttl_seconds     = var.longest_s
}

resource "vault_database_secret_backend_connection" "postgresql" {
  for_each = var.databases

  backend           = vault_mount.database.path
  name              = each.key
  allowed_roles     = [for name, role in var.database_roles : name if role.database == each.key]
  verify_connection = false

  postgresql {
    connection_url          = each.value.connection_url
    username                = each.value.administrator
    username_template       = local.lease_name
    password_authentication = "scram-sha-256"
  }
}

# A login is named by its lease: the child token's display name is the lease's id. So a second read with the same token fails.
resource "vault_database_secret_backend_role" "role" {
  for_each = var.database_roles

  backend     = vault_mount.database.path
  name        = each.key
  db_name     = vault_database_secret_backend_connection.postgresql[each.value.database].name
  default_ttl = var.longest_s
  max_ttl     = var.longest_s

  creation_statements = [
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' CONNECTION LIMIT ${each.value.connection_limit} IN ROLE ${each.value.group}",
  ]
  revocation_statements = ["SELECT countersign.expire_lease('{{name}}')"]
}

# The log's key, and a login of its own that may sign with it; the broker's other login cannot, and this one can nothing else.
resource "vault_mount" "transit" {
  count = var.log_key == null ? 0 : 1
  path  = var.log_key.mount
  type  = "transit"
}

resource "vault_transit_secret_backend_key" "log" {
  count   = var.log_key == null ? 0 : 1
  backend = vault_mount.transit[0].path
  name    = var.log_key.name
  type    = "ed25519"
}

resource "vault_policy" "log_key" {
  count = var.log_key == null ? 0 : 1
  name  = "countersign-log-key"
  policy = templatefile("${path.module}/policies/log-key.hcl", {
    mount = var.log_key.mount
    key   = var.log_key.name
  })
}

resource "vault_approle_auth_backend_role" "log_key" {
  count                   = var.log_key == null ? 0 : 1
  backend                 = vault_auth_backend.approle.path
  role_name               = "countersign-log-key"
  token_policies          = [vault_policy.log_key[0].name]
  token_no_default_policy = true
  token_period            = 1200
  token_bound_cidrs       = var.broker_cidrs
  secret_id_bound_cidrs   = var.broker_cidrs
}
