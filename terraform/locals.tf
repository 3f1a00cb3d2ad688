locals {
  name = var.name

  # The platform's source range for functions, independent of the subnets.
  functions_range = "198.19.0.0/16"

  # How functions connect to the broker, and the registry id in the topic that all cabinets read.
  mqtt = {
    host     = local.mqtt_host
    port     = local.mqtt_port
    devices  = 8883
    ca_pem   = local.mqtt_ca_pem
    username = "service"
    version  = var.mqtt_version == "" ? "5" : var.mqtt_version
    registry = var.registry_id == "" ? local.name : var.registry_id
  }

  # Secrets that functions get from Lockbox, each in an environment variable.
  secrets = merge(
    {
      for name, variable in {
        api_keys                    = "API_KEYS"
        database_password           = "PGPASSWORD"
        database_functions_password = "PGPASSWORD"
        webhooks_secret             = "WEBHOOKS_SECRET"
        } : name => {
        secret_id  = yandex_lockbox_secret.this[name].id
        version_id = yandex_lockbox_secret_version.this[name].id
        key        = name
        variable   = variable
      }
    },
    {
      mqtt_password = {
        secret_id  = one(yandex_lockbox_secret.mqtt[*].id)
        version_id = one(yandex_lockbox_secret_version.mqtt[*].id)
        key        = "password"
        variable   = "MQTT_PASSWORD"
      }
    },
  )
}
