# Only with mqtt_backend = "iot_core": Yandex IoT Core instead of Mosquitto, for existing users. It is
# read-only since 1 November 2026 and ends on 1 December 2026.

resource "yandex_iot_core_registry" "main" {
  count = local.iot_core ? 1 : 0

  name      = local.name
  passwords = compact([local.secret_files.iot_core_password.text]) # in the state: the provider has no write-only argument for it

  log_options {
    log_group_id = yandex_logging_group.main.id
  }
}

resource "yandex_iot_core_device" "cabinet" {
  for_each = local.iot_core ? var.iot_core_devices : {}

  registry_id  = one(yandex_iot_core_registry.main[*].id)
  name         = each.key
  certificates = each.value
}

resource "yandex_function_trigger" "mqtt" {
  count = local.iot_core ? 1 : 0

  name        = "${local.name}-mqtt"
  description = "Passes cabinets' events to mqtt_trigger."

  iot {
    registry_id  = one(yandex_iot_core_registry.main[*].id)
    topic        = "$devices/+/events" # events only, not the service's commands
    batch_size   = "10"
    batch_cutoff = "1"
  }

  function {
    id                 = yandex_function.this["mqtt_trigger"].id
    service_account_id = yandex_iam_service_account.invoker.id
    retry_attempts     = "5"
    retry_interval     = "10"
  }

  dlq {
    queue_id           = yandex_message_queue.dead_letters["mqtt-trigger"].arn
    service_account_id = yandex_iam_service_account.dead_letters.id
  }

  depends_on = [
    yandex_function_iam_binding.invoker,
    yandex_resourcemanager_folder_iam_member.dead_letters,
  ]
}
