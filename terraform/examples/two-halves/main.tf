# A broker that runs as two halves: what each is at OpenBao and AWS, and the settings of each. Copy it and change what is named example.
# Who runs the two processes (compose.yaml, a cluster, two machines) is left to you: the outputs are what they are started with.

terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
    vault = {
      source  = "hashicorp/vault"
      version = ">= 4.0"
    }
  }
}

variable "region" {
  description = "AWS region of the broker and of the targets that name none."
  type        = string
  default     = "eu-central-1"
}

variable "openbao_address" {
  description = "Where the issuing half reaches OpenBao."
  type        = string
  default     = "https://openbao.example.com:8200"
}

variable "issuer_cidrs" {
  description = "Where the issuing half runs. Nobody else logs in at OpenBao as the broker."
  type        = list(string)
}

variable "log_vkey" {
  description = "The log's public key, printed by the issuing half's first start; both halves hold what is signed against it."
  type        = string
  default     = null
}

variable "genesis" {
  description = "The digest of the first catalog and directory, from whoever read them; both halves take the same."
  type        = string
  default     = null
}

variable "workload_identity" {
  description = "See the module aws-broker."
  type = object({
    provider_arn   = string
    issuer         = string
    issuer_subject = string
    people_subject = string
  })
}

provider "aws" {
  region = var.region
}

provider "vault" {
  address = var.openbao_address
}

# The issuing half's login at OpenBao. There is none for the other half.
module "vault" {
  source = "../../modules/vault"

  broker_cidrs = var.issuer_cidrs
  databases = {
    orders = {
      connection_url = "postgresql://{{username}}:{{password}}@orders-db.example.com:5432/orders?sslmode=verify-full"
      administrator  = "bao_admin"
    }
  }
  database_roles = {
    orders-ro = { database = "orders", group = "orders_ro" }
  }
}

# What the issuing half is at AWS. The other half is nobody there.
module "aws_broker" {
  source = "../../modules/aws-broker"

  workload_identity = var.workload_identity
}

module "aws_target" {
  source = "../../modules/aws-target"

  assumer_trusted_arns = module.aws_broker.assumer_trusted_arns
  revoker_trusted_arns = module.aws_broker.revoker_trusted_arns
  targets              = { reports = { bucket = "example-orders-reports" } }
}

locals {
  shared = merge(
    {
      COUNTERSIGN_DATABASE_URL_FILE = "/run/secrets/database-url"
      COUNTERSIGN_LOG_ORIGIN        = "countersign.example.com/log"
    },
    var.genesis == null ? {} : { COUNTERSIGN_GENESIS = var.genesis },
  )
}

output "people_environment" {
  description = "The settings of the half that faces people. Its one secret is its login at PostgreSQL."
  value = merge(
    local.shared,
    {
      COUNTERSIGN_HALF          = "people"
      COUNTERSIGN_PUBLIC_URL    = "https://countersign.example.com"
      COUNTERSIGN_ALLOWED_HOSTS = jsonencode(["countersign.example.com"])
      COUNTERSIGN_AWS_REGION    = var.region
    },
    var.log_vkey == null ? {} : { COUNTERSIGN_LOG_VKEY = var.log_vkey },
  )
}

output "issuer_environment" {
  description = "The settings of the issuing half. What is secret comes from files that it alone is given."
  value = merge(
    local.shared,
    {
      COUNTERSIGN_HALF = "issuer"
      COUNTERSIGN_OPENBAO = jsonencode({
        addr           = var.openbao_address
        role_id_file   = "/run/secrets/openbao-role-id"
        secret_id_file = "/run/secrets/openbao-secret-id"
      })
      COUNTERSIGN_AWS = jsonencode({
        region  = var.region
        assumer = { profile = "countersign-assumer" }
        revoker = { profile = "countersign-revoker" }
      })
      COUNTERSIGN_TARGETS = jsonencode({ orders-db = { dsn_file = "/run/secrets/orders-db-dsn" } })
      AWS_CONFIG_FILE     = "/etc/countersign/aws-config"
    },
  )
}

output "issuer_aws_config" {
  description = "The file that AWS_CONFIG_FILE names."
  value       = module.aws_broker.issuer_aws_config
}

output "target_role_arns" {
  description = "For `target.settings.role_arn` in the catalog."
  value       = module.aws_target.target_role_arns
}
