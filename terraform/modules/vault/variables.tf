variable "databases" {
  description = "PostgreSQL targets by name of their connection at OpenBao. The administrator makes roles there; `countersign target init` must have run. Its first password is set outside of terraform, so that no state file holds it."
  type = map(object({
    connection_url = string
    administrator  = string
  }))
}

variable "database_roles" {
  description = "Roles of the database engine by name: what a drawn login is a member of, and how many sessions it may have."
  type = map(object({
    database         = string
    group            = string
    connection_limit = optional(number, 5)
  }))

  validation {
    condition = alltrue([
      for name, role in var.database_roles :
      can(regex("^[a-z0-9][a-z0-9_-]{0,62}$", name)) && can(regex("^[a-z_][a-z0-9_]{0,62}$", role.group)) && role.connection_limit >= 1
    ])
    error_message = "Roles are named by a-z, 0-9, _ and -; groups by a-z, 0-9 and _; connection_limit is at least 1."
  }
}

variable "kv_paths" {
  description = "Scoped tokens for one secret each of a version 2 kv engine, by name of the entitlement's policy after `countersign-path-`."
  type = map(object({
    mount = string
    path  = string
  }))
  default = {}
}

variable "mount" {
  description = "Where the database engine is mounted."
  type        = string
  default     = "database"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{0,62}$", var.mount))
    error_message = "The mount is named by a-z, 0-9, _ and -."
  }
}

variable "longest_s" {
  description = "The longest window plus backstop of any entitlement, in seconds. OpenBao lets no child token or login live longer."
  type        = number
  default     = 43200
}

variable "broker_cidrs" {
  description = "Where the broker logs in from; where it runs as two halves, where the issuing half does, and not the other. An empty list would mean anywhere and is refused."
  type        = list(string)

  validation {
    condition     = length(var.broker_cidrs) > 0
    error_message = "Name the broker's addresses."
  }
}

variable "log_key" {
  description = "Keep the log's signing key in a transit engine at this mount; null leaves it in a file of the broker's."
  type = object({
    mount = optional(string, "transit")
    name  = optional(string, "countersign-log")
  })
  default = null
}
