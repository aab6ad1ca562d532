output "role_id" {
  description = "The broker's role id. Its secret id is made by the operator and goes to the broker alone; it is not made here, so that no state file holds it."
  value       = vault_approle_auth_backend_role.broker.role_id
}

output "policies" {
  description = "Names of the policies that child tokens can have."
  value       = sort([for policy in vault_policy.lease : policy.name])
}
