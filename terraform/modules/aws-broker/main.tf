# What the issuing half is at AWS: two roles, each reached by a workload token of its own, each good for one principal of aws-target.
# The half that faces people appears here once, to be refused as a subject. It gets nothing.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = coalesce(var.target_account_id, data.aws_caller_identity.current.account_id)

  # By name, not by the other module's output: that one needs our ARNs for its trust.
  principals = {
    for part in ["assumer", "revoker"] :
    part => "arn:${data.aws_partition.current.partition}:iam::${local.account_id}:role/${var.name}-${part}"
  }
}

resource "aws_iam_policy" "workload" {
  for_each = local.principals

  name   = "${var.name}-workload-${each.key}"
  policy = templatefile("${path.module}/policies/act.json", { principal_arn = each.value })
  tags   = var.tags
}

# The role's right is its boundary too: nothing that is written into it later gives it more.
resource "aws_iam_role" "workload" {
  for_each = local.principals

  name = "${var.name}-workload-${each.key}"
  assume_role_policy = templatefile("${path.module}/policies/trust.json", {
    provider_arn = var.workload_identity.provider_arn
    issuer       = var.workload_identity.issuer
    subject      = var.workload_identity.issuer_subject
    audience     = var.audiences[each.key]
  })
  permissions_boundary = aws_iam_policy.workload[each.key].arn
  max_session_duration = 3600
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "workload" {
  for_each = local.principals

  role       = aws_iam_role.workload[each.key].name
  policy_arn = aws_iam_policy.workload[each.key].arn
}
