variable "cloud_id" {
  description = "The cloud to deploy into."
  type        = string
}

variable "folder_id" {
  description = "The folder to deploy into; preferably an empty one."
  type        = string
}

variable "registry_id" {
  description = "The id in the topic $registries/<id>/commands, which all cabinets read. Empty: the value of name. For cabinets that move from IoT Core: their old registry's id."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{0,64}$", var.registry_id))
    error_message = "registry_id: use at most 64 letters, digits, dots, hyphens and underscores."
  }
}

variable "name" {
  description = "Prefix of every resource's name. A different prefix allows a second deployment in the same folder."
  type        = string
  default     = "scooter-accumulator"

  validation {
    condition     = can(regex("^[a-z][-a-z0-9]{1,30}[a-z0-9]$", var.name))
    error_message = "name: use 3 to 32 lower-case letters, digits and hyphens, starting with a letter."
  }
}

# --- MQTT ------------------------------------------------------------------------------------------

variable "mqtt_backend" {
  description = "mosquitto: Mosquitto and the trigger bridge on a VM. external: a broker or cluster of your own, in external_mqtt, and VMs for the bridge."
  type        = string
  default     = "mosquitto"

  validation {
    condition     = var.mqtt_backend != "iot_core"
    error_message = "mqtt_backend: Yandex switched IoT Core off on 1 December 2026. Use mosquitto, or external for a broker of your own, and read \"Leaving IoT Core\" in docs/deploying.md first: cabinets need a new host, CA and login."
  }

  validation {
    condition     = contains(["mosquitto", "external", "iot_core"], var.mqtt_backend)
    error_message = "mqtt_backend: use mosquitto or external."
  }
}

variable "mqtt_version" {
  description = "MQTT version that the functions publish commands with, 5 or 3.1.1; empty: 5. Only with 5 do commands expire in the broker."
  type        = string
  default     = ""

  validation {
    condition     = contains(["", "3.1.1", "5"], var.mqtt_version)
    error_message = "mqtt_version: use 5 or 3.1.1, or leave it empty."
  }
}

# --- Network ---------------------------------------------------------------------------------------

variable "zones" {
  description = "Availability zones and the address ranges of their subnets. Functions need a subnet in every zone of the region."
  type        = map(string)
  default = {
    ru-central1-a = "10.10.0.0/24"
    ru-central1-b = "10.10.1.0/24"
    ru-central1-d = "10.10.2.0/24"
  }

  validation {
    condition     = length(var.zones) > 0 && alltrue([for range in values(var.zones) : can(cidrhost(range, 0))])
    error_message = "zones: give at least one zone, each with an address range such as 10.10.0.0/24."
  }
}

variable "ssh_from" {
  description = "Address ranges that may connect to the broker's VM by SSH. Empty: nobody may."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.ssh_from : can(cidrhost(range, 0)) && range != "0.0.0.0/0"])
    error_message = "ssh_from: use address ranges such as 198.51.100.7/32; 0.0.0.0/0 is not allowed."
  }
}

# --- Database --------------------------------------------------------------------------------------

variable "database_version" {
  description = "Major version of PostgreSQL."
  type        = string
  default     = "17"
}

variable "database_zones" {
  description = "Zones with a database host each. With two or more, the database survives the loss of one host."
  type        = set(string)
  default     = ["ru-central1-a", "ru-central1-b"]

  validation {
    condition     = length(var.database_zones) > 0 && length(setsubtract(var.database_zones, keys(var.zones))) == 0
    error_message = "database_zones: give at least one zone; each must be a key of zones."
  }
}

variable "database_preset" {
  description = "Class of the database hosts."
  type        = string
  default     = "s3-c2-m8"
}

variable "database_disk_gb" {
  description = "Disk size of each database host, GB."
  type        = number
  default     = 20

  validation {
    condition     = var.database_disk_gb >= 10
    error_message = "database_disk_gb: use at least 10."
  }
}

variable "read_replica" {
  description = "Read lists and figures, which may be a second old, from another host than the primary, while it is no further behind."
  type        = bool
  default     = false

  validation {
    condition     = !var.read_replica || length(var.database_zones) > 1
    error_message = "read_replica: it needs a second host; give database_zones two zones."
  }
}

variable "archive" {
  description = "Create a bucket for the archive of the ledger, which `make archive` writes to."
  type        = bool
  default     = false
}

variable "backup_days" {
  description = "Retention of database backups, days."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 60
    error_message = "backup_days: use 7 to 60."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database, the broker's disk and address, and the cabinets' logins. Set to false and apply before make destroy."
  type        = bool
  default     = true
}

variable "apply_migrations" {
  description = "Invoke the function migrate during apply. False only for checks without a cloud."
  type        = bool
  default     = true
}

variable "database_reader_from" {
  description = "Address ranges in the network that the database's reader may connect from, such as a data warehouse's. Empty: none."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.database_reader_from : can(cidrhost(range, 0)) && range != "0.0.0.0/0"])
    error_message = "database_reader_from: use address ranges such as 10.20.0.0/24; 0.0.0.0/0 is not allowed."
  }
}

# --- Console ---------------------------------------------------------------------------------------

variable "console_tiles_url" {
  description = "Tiles of the console's map, such as https://tiles.example/{z}/{x}/{y}.png. Empty: a plain grid, and no request to another host."
  type        = string
  default     = ""

  validation {
    condition = var.console_tiles_url == "" || (
      can(regex("^https://[a-z0-9.-]+(:[0-9]+)?/[A-Za-z0-9._~/{}?=&%@:+-]*$", var.console_tiles_url)) &&
      alltrue([for part in ["{z}", "{x}", "{y}"] : strcontains(var.console_tiles_url, part)])
    )
    error_message = "console_tiles_url: use a URL such as https://tiles.example/{z}/{x}/{y}.png (https, one host, and {z}, {x} and {y}), or leave it empty."
  }
}

variable "publish_console" {
  description = "Upload the console's files during apply. False only for checks without a cloud."
  type        = bool
  default     = true
}

# --- Functions -------------------------------------------------------------------------------------

variable "function_memory_mb" {
  description = "Memory of a function instance, MB. Its share of a CPU grows with the memory."
  type        = number
  default     = 256

  validation {
    condition     = var.function_memory_mb >= 128 && var.function_memory_mb <= 8192 && var.function_memory_mb % 128 == 0
    error_message = "function_memory_mb: use 128 to 8192, in steps of 128."
  }
}

variable "runner_account" {
  description = "Keep the service account of all functions of earlier releases. Set it to false in a new deployment, and after the upgrade to one account for each function (docs/deploying.md)."
  type        = bool
  default     = true
}

variable "zone_concurrency" {
  description = "The cloud's quota of concurrent function calls per zone. The limits of the single functions are shares of it."
  type        = number
  default     = 10

  validation {
    condition     = var.zone_concurrency >= 10
    error_message = "zone_concurrency: use at least 10, the platform's default quota."
  }
}

variable "gateway_limits" {
  description = "Ceilings of the gateway, requests per second for all callers together: of GET /v1/health, of each list, of each report (stats, overview, attention, history, imports). 0: none. The platform's documentation calls this extension deprecated; no protection depends on it alone."
  type = object({
    health  = optional(number, 10)
    lists   = optional(number, 100)
    reports = optional(number, 30)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for rps in values(var.gateway_limits) : rps >= 0 && floor(rps) == rps])
    error_message = "gateway_limits: use whole numbers of requests per second; 0 is no limit."
  }
}

variable "security_profile_id" {
  description = "Id of a Smart Web Security profile that checks the gateway's requests, such as that of terraform/web_security: limits for each client's address. Empty: none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[a-z0-9]{0,50}$", var.security_profile_id))
    error_message = "security_profile_id: use the id of a profile, lower-case letters and digits, or leave it empty."
  }
}

variable "unlock_wait_seconds" {
  description = "How long an unlock waits for the cabinet, seconds. The timeouts of the function and the gateway are derived from it."
  type        = number
  default     = 15

  validation {
    condition     = var.unlock_wait_seconds > 0 && var.unlock_wait_seconds <= 240
    error_message = "unlock_wait_seconds: use more than 0 and at most 240."
  }
}

variable "settings" {
  description = "Other environment variables of the functions, such as BOOKING_SECONDS. docs/settings.md lists them with their defaults."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "ANOMALY_KEEP_DAYS", "BOOKING_KEEP_DAYS", "BOOKING_SECONDS", "COMMAND_TTL_SECONDS", "EVENT_KEEP_DAYS", "HELD_TOO_LONG_HOURS",
      "IDEMPOTENCY_KEEP_HOURS", "LOG_LEVEL", "MIN_ISSUE_CHARGE", "OFFLINE_AFTER_SECONDS", "POLL_SPREAD_SECONDS", "RATE_LIMIT_BURST",
      "RATE_LIMIT_PER_SECOND", "RECONCILE_SECONDS", "STOP_ALARMS", "SUSPECT_CLAIMS_PER_HOUR", "UNKNOWN_ACCUMULATORS_PER_DAY",
    ])) == 0
    error_message = "settings: use ANOMALY_KEEP_DAYS, BOOKING_KEEP_DAYS, BOOKING_SECONDS, COMMAND_TTL_SECONDS, EVENT_KEEP_DAYS, HELD_TOO_LONG_HOURS, IDEMPOTENCY_KEEP_HOURS, LOG_LEVEL, MIN_ISSUE_CHARGE, OFFLINE_AFTER_SECONDS, POLL_SPREAD_SECONDS, RATE_LIMIT_BURST, RATE_LIMIT_PER_SECOND, RECONCILE_SECONDS, STOP_ALARMS, SUSPECT_CLAIMS_PER_HOUR or UNKNOWN_ACCUMULATORS_PER_DAY. UNLOCK_WAIT_SECONDS is the variable unlock_wait_seconds; Terraform sets the rest."
  }
}

variable "cors_origin" {
  description = "Web origin that may call the API from a browser, such as https://console.example. Empty: none."
  type        = string
  default     = ""

  validation {
    condition     = var.cors_origin == "" || can(regex("^https://[^/*]+$", var.cors_origin))
    error_message = "cors_origin: use one origin such as https://console.example without a wildcard, or leave it empty."
  }
}

variable "log_days" {
  description = "Retention of logs, days."
  type        = number
  default     = 14

  validation {
    condition     = var.log_days >= 1 && var.log_days <= 31
    error_message = "log_days: use 1 to 31."
  }
}
