locals {
  name     = var.name
  external = var.mqtt_backend == "external"

  # The platform's source range for functions, independent of the subnets.
  functions_range = "198.19.0.0/16"

  # How functions connect to the broker, and the registry id in the topic that all cabinets read.
  mqtt = merge(
    {
      version  = var.mqtt_version == "" ? "5" : var.mqtt_version
      registry = var.registry_id == "" ? local.name : var.registry_id
    },
    local.external ? local.external_mqtt : {
      host     = local.broker_host
      port     = 8885 # cabinets use 8883 and 8884
      devices  = "${local.broker_host}:8883"
      ca_pem   = local.broker_ca_pem
      username = "service"
    },
  )

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
      mqtt_password = local.external ? {
        secret_id  = yandex_lockbox_secret.this["mqtt_service_password"].id
        version_id = yandex_lockbox_secret_version.this["mqtt_service_password"].id
        key        = "mqtt_service_password"
        variable   = "MQTT_PASSWORD"
        } : {
        secret_id  = one(yandex_lockbox_secret.mqtt[*].id)
        version_id = one(yandex_lockbox_secret_version.mqtt[*].id)
        key        = "password"
        variable   = "MQTT_PASSWORD"
      }
    },
  )
}
