output "assumer_role_arn" {
  description = "The role that the issuing half acts as."
  value       = aws_iam_role.broker["assumer"].arn
}

output "revoker_role_arn" {
  description = "The role that the sweeper acts as to end sessions early."
  value       = aws_iam_role.broker["revoker"].arn
}

output "target_role_arns" {
  description = "Target roles by short name, for `target.settings.role_arn` in the catalog."
  value       = { for name, role in aws_iam_role.target : name => role.arn }
}
