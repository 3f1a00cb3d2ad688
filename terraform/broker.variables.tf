variable "broker_domain" {
  description = "Host name of the broker. Point its A record to the output broker_address. Empty: clients use the address. Recommended, because the address can change while cabinets are in the field."
  type        = string
  default     = ""

  validation {
    condition     = var.broker_domain == "" || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.broker_domain))
    error_message = "broker_domain: use a host name such as mqtt.example.com, or leave it empty."
  }
}

variable "broker_zone" {
  description = "Availability zone of the broker's VM and its disk; a key of zones."
  type        = string
  default     = "ru-central1-a"

  validation {
    condition     = contains(keys(var.zones), var.broker_zone)
    error_message = "broker_zone: use a key of zones."
  }
}

variable "broker_size" {
  description = "Size of the broker's VM: cores, guaranteed percentage of each core, memory in GB."
  type        = object({ cores = number, core_fraction = number, memory_gb = number })
  default     = { cores = 2, core_fraction = 50, memory_gb = 2 }

  validation {
    condition     = contains([20, 50, 100], var.broker_size.core_fraction) && var.broker_size.cores >= 2 && var.broker_size.memory_gb >= 1
    error_message = "broker_size: use at least 2 cores and 1 GB, with core_fraction 20, 50 or 100."
  }
}

variable "broker_disk_gb" {
  description = "Size of the disk for undelivered messages, GB."
  type        = number
  default     = 10

  validation {
    condition     = var.broker_disk_gb >= 4
    error_message = "broker_disk_gb: use at least 4."
  }
}

variable "bridge_lanes" {
  description = "Batches that the bridge delivers at a time. With more than one, a slow invocation delays only the cabinets in its batch; but an accumulator that moves quickly between two cabinets may be quarantined as a duplicate (decision 0027)."
  type        = number
  default     = 1

  validation {
    condition     = var.bridge_lanes >= 1 && var.bridge_lanes <= 16 && floor(var.bridge_lanes) == var.bridge_lanes
    error_message = "bridge_lanes: use a whole number from 1 to 16, not ${var.bridge_lanes}."
  }
}

variable "broker_snapshots" {
  description = "Number of daily snapshots of that disk to keep."
  type        = number
  default     = 7

  validation {
    condition     = var.broker_snapshots >= 1 && var.broker_snapshots <= 30
    error_message = "broker_snapshots: use 1 to 30."
  }
}

variable "broker_pki" {
  description = "Directory of the CA that broker/certificates made, relative to terraform/."
  type        = string
  default     = "broker/pki"
}

variable "ssh_key" {
  description = "Public SSH key for the user ubuntu on the broker's VM, reachable from ssh_from. Empty: no login, which is enough for operation."
  type        = string
  default     = ""

  validation {
    condition     = var.ssh_key == "" || can(regex("^(ssh|ecdsa)-[a-z0-9-]+ ", var.ssh_key))
    error_message = "ssh_key: use a public key such as ssh-ed25519 AAAA..., or leave it empty."
  }
}

variable "cabinet_login_secrets" {
  description = "Number of Lockbox secrets for the hashes of cabinets' passwords; each holds 585 cabinets. An empty secret costs nothing. A lower number deletes logins (deletion_protection prevents it)."
  type        = number
  default     = 8

  validation {
    condition     = var.cabinet_login_secrets >= 1 && var.cabinet_login_secrets <= 32 && floor(var.cabinet_login_secrets) == var.cabinet_login_secrets
    error_message = "cabinet_login_secrets: use a whole number from 1 to 32."
  }
}

variable "broker_logs" {
  description = "Send the logs of Mosquitto, the bridge and refresh to Cloud Logging, into a log group of their own. They are also in the machine's journal."
  type        = bool
  default     = true
}

variable "broker_log_agent" {
  description = "Version of Yandex Unified Agent, which sends the logs, and the SHA-256 of its program; empty: not checked. The machine downloads it from the platform's storage."
  type        = object({ version = string, sha256 = string })
  default     = { version = "25.03.80", sha256 = "" }

  validation {
    condition     = can(regex("^[0-9]+(\\.[0-9]+)+$", var.broker_log_agent.version)) && can(regex("^([0-9a-f]{64})?$", var.broker_log_agent.sha256))
    error_message = "broker_log_agent: use a version such as 25.03.80, and 64 hexadecimal digits or an empty sha256."
  }
}

variable "grant_log_role" {
  description = "Let the machine's account write to its log group during terraform apply. It needs python3, and YC_TOKEN or the yc command. If false: yc logging group add-access-binding."
  type        = bool
  default     = true
}
