output "api_url" {
  description = "Where the API is; paths begin with /v1."
  value       = "https://${yandex_api_gateway.main.domain}"
}

output "mqtt_broker" {
  description = "Where cabinets connect, by MQTT over TLS."
  value       = "${local.mqtt.host}:${local.mqtt.port}"
}

output "registry_id" {
  description = "Cabinets read $registries/<this>/commands beside their own commands."
  value       = local.mqtt.registry
}

output "iot_core_devices" {
  description = "With iot_core: each cabinet's device id, which the API is given at its registration."
  value       = { for name, device in yandex_iot_core_device.cabinet : name => device.id }
}

output "function_ids" {
  description = "Every function's id, by its folder's name."
  value       = merge({ for name, function in yandex_function.this : name => function.id }, { migrate = yandex_function.migrate.id })
}

output "log_group_id" {
  description = "Where everything logs to: yc logging read --group-id <this> --follow."
  value       = yandex_logging_group.main.id
}

output "next_steps" {
  description = "What to do after the first apply."
  value       = <<-TEXT
    1. make smoke-test                  the deployed API answers
    2. ${local.iot_core ? "add cabinets to iot_core_devices and apply" : "give a cabinet its login: docs/cabinet-credentials.md"}
    3. register it: POST https://${yandex_api_gateway.main.domain}/v1/cabinets with the key in terraform/.secrets/operator_key
    4. dashboard: https://monitoring.yandex.cloud/folders/${var.folder_id}/dashboards/${yandex_monitoring_dashboard.main.dashboard_id}
    docs/deploying.md goes on to the first unlock.
  TEXT
}
