variable "role_prefix" {
  description = "First part of the name of every target role and of its policy; the broker's principals reach nothing else."
  type        = string
  default     = "countersign-target-"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}-$", var.role_prefix))
    error_message = "role_prefix is 4 to 33 lower-case letters, digits and dashes, and ends with a dash."
  }
}

variable "name" {
  description = "First part of the names of the broker's own two principals and their policies."
  type        = string
  default     = "countersign"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "name is 3 to 32 lower-case letters, digits and dashes."
  }
}

variable "assumer_trusted_arns" {
  description = "ARNs of the workload identities that may act as the assumer: the issuing half of the broker."
  type        = list(string)

  validation {
    condition     = length(var.assumer_trusted_arns) > 0 && alltrue([for arn in var.assumer_trusted_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "assumer_trusted_arns needs at least one ARN of an IAM role or user, without wildcards."
  }
}

variable "revoker_trusted_arns" {
  description = "ARNs of the workload identities that may act as the revoker: the sweeper of the broker. Not the assumer's."
  type        = list(string)

  validation {
    condition     = length(var.revoker_trusted_arns) > 0 && alltrue([for arn in var.revoker_trusted_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "revoker_trusted_arns needs at least one ARN of an IAM role or user, without wildcards."
  }
}

variable "targets" {
  description = "Target roles by short name: the most that any entitlement on that role can give, as a bucket to read or as a policy of your own."
  type = map(object({
    bucket               = optional(string)
    policy_json          = optional(string)
    max_session_duration = optional(number, 3600)
  }))

  validation {
    condition     = alltrue([for name, target in var.targets : can(regex("^[a-z][a-z0-9-]{0,29}$", name))])
    error_message = "A target's name is 1 to 30 lower-case letters, digits and dashes."
  }

  validation {
    condition     = alltrue([for target in values(var.targets) : (target.bucket == null) != (target.policy_json == null)])
    error_message = "A target takes either bucket or policy_json."
  }

  validation {
    condition     = alltrue([for target in values(var.targets) : target.bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", target.bucket))])
    error_message = "bucket is the name of an S3 bucket."
  }

  validation {
    condition     = alltrue([for target in values(var.targets) : target.max_session_duration >= 3600 && target.max_session_duration <= 43200])
    error_message = "max_session_duration lies between 3600 and 43200."
  }
}

variable "tags" {
  description = "Tags on everything that takes tags."
  type        = map(string)
  default     = {}
}
