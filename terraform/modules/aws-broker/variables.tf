variable "name" {
  description = "First part of the names of the roles; the same as aws-target's."
  type        = string
  default     = "countersign"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "name is 3 to 32 lower-case letters, digits and dashes."
  }
}

variable "workload_identity" {
  description = "Who vouches for workloads, as an IAM OpenID Connect provider (of a Kubernetes cluster, say): its ARN, its issuer without https://, and the subjects of the two halves. They must differ; only the issuing half's gets anything."
  type = object({
    provider_arn   = string
    issuer         = string
    issuer_subject = string
    people_subject = string
  })

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/[A-Za-z0-9._/-]+$", var.workload_identity.provider_arn))
    error_message = "provider_arn is the ARN of an IAM OpenID Connect provider."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9.-]+(/[A-Za-z0-9._-]+)*$", var.workload_identity.issuer)) && endswith(var.workload_identity.provider_arn, "/${var.workload_identity.issuer}")
    error_message = "issuer is the provider's address without https://, as provider_arn ends."
  }

  validation {
    condition     = alltrue([for subject in [var.workload_identity.issuer_subject, var.workload_identity.people_subject] : can(regex("^[A-Za-z0-9:._/@-]{1,255}$", subject))])
    error_message = "Subjects are plain, without wildcards."
  }

  validation {
    condition     = var.workload_identity.issuer_subject != var.workload_identity.people_subject
    error_message = "The halves are two workloads: one subject for both would give the half that faces people the other's rights."
  }
}

variable "audiences" {
  description = "Audience of the token by which the issuing half becomes each of its two roles; two tokens, so that neither opens both."
  type = object({
    assumer = optional(string, "countersign-assumer")
    revoker = optional(string, "countersign-revoker")
  })
  default = {}

  validation {
    condition     = var.audiences.assumer != var.audiences.revoker && alltrue([for audience in values(var.audiences) : can(regex("^[A-Za-z0-9:._/-]{1,255}$", audience))])
    error_message = "Two audiences, plain and different."
  }
}

variable "target_account_id" {
  description = "The account that aws-target is applied to; null for this one."
  type        = string
  default     = null

  validation {
    condition     = var.target_account_id == null || can(regex("^[0-9]{12}$", var.target_account_id))
    error_message = "target_account_id is 12 digits."
  }
}

variable "token_folder" {
  description = "Where the two tokens are mounted in the issuing half's container, as files named assumer and revoker."
  type        = string
  default     = "/run/secrets/aws"

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._-]+)+$", var.token_folder))
    error_message = "token_folder is an absolute path."
  }
}

variable "tags" {
  description = "Tags on everything that takes tags."
  type        = map(string)
  default     = {}
}
