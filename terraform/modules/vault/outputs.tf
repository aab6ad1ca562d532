output "role_id" {
  description = "The broker's role id, the issuing half's where it runs as two. Its secret id is made by the operator and goes to the broker alone; it is not made here, so that no state file holds it."
  value       = vault_approle_auth_backend_role.broker.role_id
}

output "policies" {
  description = "Names of the policies that child tokens can have."
  value       = sort([for policy in vault_policy.lease : policy.name])
}

output "log_key_role_id" {
  description = "The role id of the login that signs the log, as the first; null where the key lies in a file."
  value       = one(vault_approle_auth_backend_role.log_key[*].role_id)
}
