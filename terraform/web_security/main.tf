# Limits for each client's address, by Smart Web Security. Optional, and a deployment of its own: a
# profile can serve several gateways, and has its own price. Put the output security_profile_id into
# ../terraform.tfvars. docs/deploying.md has the steps.
#
# Smart Web Security checks a request before the gateway does, so what it refuses costs no call of the
# authorizer or of another function.

terraform {
  required_version = ">= 1.11"

  required_providers {
    yandex = {
      source  = "yandex-cloud/yandex"
      version = "0.222.0"
    }
  }
}

provider "yandex" {
  cloud_id  = var.cloud_id
  folder_id = var.folder_id
}

variable "cloud_id" {
  description = "The cloud to deploy into."
  type        = string
}

variable "folder_id" {
  description = "The folder of the gateway."
  type        = string
}

variable "name" {
  description = "Prefix of the profiles' names."
  type        = string
  default     = "scooter-accumulator"
}

variable "requests_per_client" {
  description = "Requests that one address may send in period_seconds. A backend sends all of its requests from a few addresses: name them in trusted_clients, or set the limit above its peak."
  type        = number
  default     = 600

  validation {
    condition     = var.requests_per_client >= 1
    error_message = "requests_per_client: use at least 1."
  }
}

variable "requests" {
  description = "Requests that all addresses together may send in period_seconds, except trusted_clients. 0: no ceiling."
  type        = number
  default     = 12000
}

variable "period_seconds" {
  description = "The period that requests are counted in, seconds. A client that exceeds its limit is refused until the period ends."
  type        = number
  default     = 60

  validation {
    condition     = var.period_seconds >= 1 && var.period_seconds <= 86400
    error_message = "period_seconds: use 1 to 86400."
  }
}

variable "trusted_clients" {
  description = "Address ranges without a limit, such as those of the scooter backend."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.trusted_clients : can(cidrhost(range, 0)) && !endswith(range, "/0")])
    error_message = "trusted_clients: use address ranges such as 198.51.100.7/32; not all addresses."
  }
}

variable "dry_run" {
  description = "Only log what would be refused. Begin with true, and set it to false when nothing wanted is in the log."
  type        = bool
  default     = false
}

locals {
  rules = merge(
    { "each-client" = { limit = var.requests_per_client, priority = 10, per_client = true } },
    var.requests > 0 ? { "all-clients" = { limit = var.requests, priority = 20, per_client = false } } : {},
  )
}

resource "yandex_sws_advanced_rate_limiter_profile" "main" {
  name        = "${var.name}-limits"
  description = "Requests per client and altogether, of the API of ${var.name}."

  dynamic "advanced_rate_limiter_rule" {
    for_each = local.rules
    iterator = rule
    content {
      name     = rule.key
      priority = rule.value.priority
      dry_run  = var.dry_run

      dynamic "dynamic_quota" {
        for_each = rule.value.per_client ? [rule.value] : []
        content {
          action = "DENY"
          limit  = dynamic_quota.value.limit
          period = var.period_seconds
          characteristic {
            simple_characteristic {
              type = "IP"
            }
          }
          dynamic "condition" {
            for_each = length(var.trusted_clients) > 0 ? [var.trusted_clients] : []
            content {
              source_ip {
                ip_ranges_not_match {
                  ip_ranges = condition.value
                }
              }
            }
          }
        }
      }

      dynamic "static_quota" {
        for_each = rule.value.per_client ? [] : [rule.value]
        content {
          action = "DENY"
          limit  = static_quota.value.limit
          period = var.period_seconds
          dynamic "condition" {
            for_each = length(var.trusted_clients) > 0 ? [var.trusted_clients] : []
            content {
              source_ip {
                ip_ranges_not_match {
                  ip_ranges = condition.value
                }
              }
            }
          }
        }
      }
    }
  }
}

resource "yandex_sws_security_profile" "main" {
  name                             = var.name
  description                      = "Limits of the API of ${var.name}."
  default_action                   = "ALLOW"
  disallow_data_processing         = true # requests carry API keys: no training with them
  advanced_rate_limiter_profile_id = yandex_sws_advanced_rate_limiter_profile.main.id
}

output "security_profile_id" {
  description = "For security_profile_id in ../terraform.tfvars."
  value       = yandex_sws_security_profile.main.id
}
