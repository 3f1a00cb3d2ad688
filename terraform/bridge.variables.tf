variable "external_mqtt" {
  description = "With external: the broker. host and port: of the functions and the bridge, one node rather than a load balancer (docs/broker-cluster.md). devices_host, devices_port: the cabinets', if they differ. ca_file: its CA in PEM, relative to terraform/; empty: the system's CAs. The passwords: terraform/secret_files.py mqtt."
  type = object({
    host          = string
    port          = optional(number, 8883)
    devices_host  = optional(string)
    devices_port  = optional(number)
    ca_file       = optional(string, "")
    service_login = optional(string, "service")
    bridge_login  = optional(string, "bridge")
  })
  default = null

  validation {
    condition     = (var.mqtt_backend == "external") == (var.external_mqtt != null)
    error_message = "external_mqtt: ${var.external_mqtt == null ? "with mqtt_backend = \"external\", give the broker, such as { host = \"mqtt.example.com\", ca_file = \"cluster-ca.pem\" }" : "it is used only with mqtt_backend = \"external\""}."
  }

  validation {
    condition     = var.external_mqtt == null || alltrue([for host in [try(var.external_mqtt.host, ""), try(coalesce(var.external_mqtt.devices_host), "a")] : can(regex("^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", host))])
    error_message = "external_mqtt: ${jsonencode(try(var.external_mqtt.host, ""))} or ${jsonencode(try(var.external_mqtt.devices_host, null))} is not a host name or IPv4 address. Give it without mqtts:// and port."
  }

  validation {
    condition     = var.external_mqtt == null || alltrue([for port in [try(var.external_mqtt.port, 0), try(coalesce(var.external_mqtt.devices_port), 8883)] : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "external_mqtt: the ports ${jsonencode([try(var.external_mqtt.port, null), try(var.external_mqtt.devices_port, null)])} are not whole numbers from 1 to 65535. MQTT over TLS usually has 8883."
  }

  validation {
    condition     = try(var.external_mqtt.ca_file, "") == "" || can(regex("-----BEGIN CERTIFICATE-----", file("${path.module}/${var.external_mqtt.ca_file}")))
    error_message = "external_mqtt: ca_file ${jsonencode(try(var.external_mqtt.ca_file, ""))} is not a file with a certificate in PEM. Name it relative to terraform/, or leave it empty for a broker with a certificate of a public CA."
  }

  validation {
    condition     = try(var.external_mqtt.service_login != "" && var.external_mqtt.bridge_login != "" && var.external_mqtt.service_login != var.external_mqtt.bridge_login, true)
    error_message = "external_mqtt: give service_login and bridge_login two different names; their rights differ."
  }
}

variable "bridges" {
  description = "With external: number of bridge VMs, in different zones. With more than one, one is active and the others stand by."
  type        = number
  default     = 1

  validation {
    condition     = var.bridges >= 1 && var.bridges <= 9 && floor(var.bridges) == var.bridges
    error_message = "bridges: use a whole number from 1 to 9, not ${var.bridges}."
  }

  validation {
    condition     = var.bridges == 1 || var.mqtt_backend == "external"
    error_message = "bridges: more than one needs mqtt_backend = \"external\"; Mosquitto's VM runs the only bridge."
  }
}

variable "bridge_size" {
  description = "With external: size of a bridge's VM: cores, guaranteed percentage of each core, memory in GB."
  type        = object({ cores = number, core_fraction = number, memory_gb = number })
  default     = { cores = 2, core_fraction = 50, memory_gb = 1 }

  validation {
    condition     = contains([20, 50, 100], var.bridge_size.core_fraction) && var.bridge_size.cores >= 2 && var.bridge_size.memory_gb >= 1
    error_message = "bridge_size: use at least 2 cores and 1 GB, with core_fraction 20, 50 or 100."
  }
}
