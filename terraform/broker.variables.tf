variable "broker_domain" {
  description = "Host name of the broker, whose A record you point at the output broker_address; empty: clients use the address itself. Cabinets outlive an address: give them a name."
  type        = string
  default     = ""

  validation {
    condition     = var.broker_domain == "" || can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.broker_domain))
    error_message = "broker_domain: empty, or a host name such as mqtt.example.com."
  }
}

variable "broker_zone" {
  description = "Availability zone of the broker's VM and its disk; one of zones."
  type        = string
  default     = "ru-central1-a"

  validation {
    condition     = contains(keys(var.zones), var.broker_zone)
    error_message = "broker_zone: must be one of zones."
  }
}

variable "broker_size" {
  description = "The broker's VM: cores, percent of each that is guaranteed, memory in GB."
  type        = object({ cores = number, core_fraction = number, memory_gb = number })
  default     = { cores = 2, core_fraction = 50, memory_gb = 2 }

  validation {
    condition     = contains([20, 50, 100], var.broker_size.core_fraction) && var.broker_size.cores >= 2 && var.broker_size.memory_gb >= 1
    error_message = "broker_size: at least 2 cores and 1 GB; core_fraction 20, 50 or 100."
  }
}

variable "broker_disk_gb" {
  description = "Size of the disk that keeps the bridge's session, GB."
  type        = number
  default     = 10

  validation {
    condition     = var.broker_disk_gb >= 4
    error_message = "broker_disk_gb: at least 4."
  }
}

variable "broker_snapshots" {
  description = "How many daily snapshots of that disk are kept."
  type        = number
  default     = 7

  validation {
    condition     = var.broker_snapshots >= 1 && var.broker_snapshots <= 30
    error_message = "broker_snapshots: 1 to 30."
  }
}

variable "broker_pki" {
  description = "Directory, from terraform/, of the CA that broker/certificates made."
  type        = string
  default     = "broker/pki"
}

variable "ssh_key" {
  description = "Public key that may log in to the broker's VM as ubuntu, from where ssh_from says; empty: nobody may, and nothing needs to."
  type        = string
  default     = ""

  validation {
    condition     = var.ssh_key == "" || can(regex("^(ssh|ecdsa)-[a-z0-9-]+ ", var.ssh_key))
    error_message = "ssh_key: empty, or a public key such as ssh-ed25519 AAAA..."
  }
}
