variable "cloud_id" {
  description = "The cloud to deploy into."
  type        = string
}

variable "folder_id" {
  description = "The folder to deploy into; one that holds nothing else is best."
  type        = string
}

variable "registry_id" {
  description = "Names the topic that all cabinets read, with Mosquitto: the old registry's id where cabinets come from IoT Core; empty: the name."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{0,64}$", var.registry_id))
    error_message = "registry_id: at most 64 letters, digits, dots, hyphens and underscores."
  }
}

variable "name" {
  description = "Prefix of every resource's name; another one allows a second deployment in the folder."
  type        = string
  default     = "scooter-accumulator"

  validation {
    condition     = can(regex("^[a-z][-a-z0-9]{1,30}[a-z0-9]$", var.name))
    error_message = "name: 3 to 32 lower-case letters, digits and hyphens, beginning with a letter."
  }
}

# --- What carries MQTT -----------------------------------------------------------------------------

variable "mqtt_backend" {
  description = "mosquitto: a broker of one's own on a VM, with the trigger bridge. iot_core: Yandex IoT Core, which ends on 1 December 2026."
  type        = string
  default     = "mosquitto"

  validation {
    condition     = contains(["mosquitto", "iot_core"], var.mqtt_backend)
    error_message = "mqtt_backend: mosquitto or iot_core."
  }
}

variable "iot_core_devices" {
  description = "With iot_core: the cabinets, each with its X.509 certificates in PEM (public parts only)."
  type        = map(list(string))
  default     = {}
}

# --- Network ---------------------------------------------------------------------------------------

variable "zones" {
  description = "Availability zones and their subnets. Functions need a subnet in every zone of the region."
  type        = map(string)
  default = {
    ru-central1-a = "10.10.0.0/24"
    ru-central1-b = "10.10.1.0/24"
    ru-central1-d = "10.10.2.0/24"
  }

  validation {
    condition     = length(var.zones) > 0 && alltrue([for range in values(var.zones) : can(cidrhost(range, 0))])
    error_message = "zones: at least one zone, each with an address range such as 10.10.0.0/24."
  }
}

variable "ssh_from" {
  description = "Address ranges that may reach the broker's VM by SSH; none by default."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.ssh_from : can(cidrhost(range, 0)) && range != "0.0.0.0/0"])
    error_message = "ssh_from: address ranges such as 198.51.100.7/32; not the whole internet."
  }
}

# --- Database --------------------------------------------------------------------------------------

variable "database_version" {
  description = "PostgreSQL's major version."
  type        = string
  default     = "17"
}

variable "database_zones" {
  description = "Zones with a database host: two or more survive the loss of one host."
  type        = set(string)
  default     = ["ru-central1-a", "ru-central1-b"]

  validation {
    condition     = length(var.database_zones) > 0 && length(setsubtract(var.database_zones, keys(var.zones))) == 0
    error_message = "database_zones: at least one, and each must be among zones."
  }
}

variable "database_preset" {
  description = "Class of a database host."
  type        = string
  default     = "s3-c2-m8"
}

variable "database_disk_gb" {
  description = "Size of a database host's SSD, GB."
  type        = number
  default     = 20

  validation {
    condition     = var.database_disk_gb >= 10
    error_message = "database_disk_gb: at least 10."
  }
}

variable "backup_days" {
  description = "How many days backups are kept."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 60
    error_message = "backup_days: 7 to 60."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database; set to false and apply before make destroy."
  type        = bool
  default     = true
}

variable "apply_migrations" {
  description = "Invoke the function migrate during apply. False only where there is no cloud to invoke it in."
  type        = bool
  default     = true
}

# --- Functions -------------------------------------------------------------------------------------

variable "function_memory_mb" {
  description = "Memory of a function's instance, MB; the share of a CPU grows with it."
  type        = number
  default     = 256

  validation {
    condition     = var.function_memory_mb >= 128 && var.function_memory_mb <= 8192 && var.function_memory_mb % 128 == 0
    error_message = "function_memory_mb: 128 to 8192, in steps of 128."
  }
}

variable "zone_concurrency" {
  description = "The cloud's quota of concurrent calls in a zone, all functions together; it is shared out from this."
  type        = number
  default     = 10

  validation {
    condition     = var.zone_concurrency >= 10
    error_message = "zone_concurrency: at least 10, the platform's default quota."
  }
}

variable "unlock_wait_seconds" {
  description = "How long an unlock waits for the cabinet; the time-outs of function and gateway follow from it."
  type        = number
  default     = 15

  validation {
    condition     = var.unlock_wait_seconds > 0 && var.unlock_wait_seconds <= 240
    error_message = "unlock_wait_seconds: more than 0, at most 240."
  }
}

variable "settings" {
  description = "Other settings of the service, by variable, such as BOOKING_SECONDS; docs/settings.md lists them with their defaults."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "BOOKING_SECONDS", "COMMAND_TTL_SECONDS", "LOG_LEVEL", "MIN_ISSUE_CHARGE", "OFFLINE_AFTER_SECONDS",
      "POLL_SPREAD_SECONDS", "RECONCILE_SECONDS", "STOP_ALARMS",
    ])) == 0
    error_message = "settings: only the service's own settings; the unlock's wait is the variable unlock_wait_seconds, all else Terraform sets."
  }
}

variable "cors_origin" {
  description = "Origin that browsers may call the API from, such as https://console.example; empty: none may."
  type        = string
  default     = ""

  validation {
    condition     = var.cors_origin == "" || can(regex("^https://[^/*]+$", var.cors_origin))
    error_message = "cors_origin: empty, or one origin such as https://console.example; no wildcard."
  }
}

variable "log_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 14

  validation {
    condition     = var.log_days >= 1 && var.log_days <= 31
    error_message = "log_days: 1 to 31."
  }
}
