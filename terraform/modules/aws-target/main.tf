data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  values = {
    partition   = data.aws_partition.current.partition
    account_id  = data.aws_caller_identity.current.account_id
    role_prefix = var.role_prefix
  }

  principals = {
    assumer = var.assumer_trusted_arns
    revoker = var.revoker_trusted_arns
  }
}

# The broker's two principals. Whoever may write the Deny could write any policy, so the one that revokes does not assume.

resource "aws_iam_policy" "boundary" {
  for_each = local.principals

  name   = "${var.name}-${each.key}-boundary"
  policy = templatefile("${path.module}/policies/${each.key}-boundary.json", local.values)
  tags   = var.tags
}

resource "aws_iam_policy" "rights" {
  for_each = local.principals

  name   = "${var.name}-${each.key}"
  policy = templatefile("${path.module}/policies/${each.key}.json", local.values)
  tags   = var.tags
}

data "aws_iam_policy_document" "broker_trust" {
  for_each = local.principals

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = each.value
    }
  }
}

resource "aws_iam_role" "broker" {
  for_each = local.principals

  name                 = "${var.name}-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.broker_trust[each.key].json
  permissions_boundary = aws_iam_policy.boundary[each.key].arn
  max_session_duration = 3600
  tags                 = var.tags

  lifecycle {
    precondition {
      condition     = length(setintersection(toset(var.assumer_trusted_arns), toset(var.revoker_trusted_arns))) == 0
      error_message = "No identity may act both as the assumer and as the revoker."
    }
  }
}

resource "aws_iam_role_policy_attachment" "broker" {
  for_each = local.principals

  role       = aws_iam_role.broker[each.key].name
  policy_arn = aws_iam_policy.rights[each.key].arn
}

# The target roles. A role's rights are its boundary too: nothing written into the role later gives it more.

resource "aws_iam_policy" "target" {
  for_each = var.targets

  name = "${var.role_prefix}${each.key}"
  policy = each.value.policy_json != null ? each.value.policy_json : templatefile(
    "${path.module}/policies/target-s3-read.json",
    merge(local.values, { bucket = each.value.bucket }),
  )
  tags = var.tags
}

resource "aws_iam_role" "target" {
  for_each = var.targets

  name                 = "${var.role_prefix}${each.key}"
  assume_role_policy   = templatefile("${path.module}/policies/trust.json", { assumer_arn = aws_iam_role.broker["assumer"].arn })
  permissions_boundary = aws_iam_policy.target[each.key].arn
  max_session_duration = each.value.max_session_duration
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "target" {
  for_each = var.targets

  role       = aws_iam_role.target[each.key].name
  policy_arn = aws_iam_policy.target[each.key].arn
}
