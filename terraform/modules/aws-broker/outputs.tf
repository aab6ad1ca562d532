output "assumer_trusted_arns" {
  description = "For aws-target's variable of this name."
  value       = [aws_iam_role.workload["assumer"].arn]
}

output "revoker_trusted_arns" {
  description = "For aws-target's variable of this name."
  value       = [aws_iam_role.workload["revoker"].arn]
}

output "issuer_aws_config" {
  description = "The issuing half's AWS configuration file, with the profiles countersign-assumer and countersign-revoker. No secret is in it."
  value = templatefile("${path.module}/policies/aws-config.ini", {
    assumer_arn          = local.principals["assumer"]
    revoker_arn          = local.principals["revoker"]
    assumer_workload_arn = aws_iam_role.workload["assumer"].arn
    revoker_workload_arn = aws_iam_role.workload["revoker"].arn
    assumer_token_file   = "${var.token_folder}/assumer"
    revoker_token_file   = "${var.token_folder}/revoker"
  })
}
