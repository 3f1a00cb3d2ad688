output "api_url" {
  description = "Base URL of the API; paths start with /v1."
  value       = "https://${yandex_api_gateway.main.domain}"
}

output "console_url" {
  description = "The operators' console; it asks for an API key."
  value       = "https://${yandex_api_gateway.main.domain}/"
}

output "console_bucket" {
  description = "Bucket with the console's files."
  value       = yandex_storage_bucket.console.bucket
}

output "mqtt_broker" {
  description = "Host and port that cabinets connect to, by MQTT over TLS."
  value       = local.mqtt.devices
}

output "registry_id" {
  description = "Id in the topic $registries/<id>/commands, which cabinets read in addition to their own commands."
  value       = local.mqtt.registry
}

output "function_ids" {
  description = "Id of each function, by the name of its folder."
  value       = merge({ for name, function in yandex_function.this : name => function.id }, { migrate = yandex_function.migrate.id })
}

output "calls_kept_for_unlocks" {
  description = "Concurrent calls in a zone that unlocks get even if all other functions are as busy as they may be. Fewer than the limit of unlock: raise the quota, then zone_concurrency."
  value       = local.kept_for_unlocks
}

output "log_group_id" {
  description = "Log group of all functions and the gateway: yc logging read --group-id <id> --follow."
  value       = yandex_logging_group.main.id
}

output "next_steps" {
  description = "Steps after the first apply."
  value       = <<-TEXT
    1. check the deployed API: make smoke-test
    2. give each cabinet a login: ${local.external ? "in your broker, docs/broker-cluster.md" : "docs/cabinet-credentials.md"}
    3. register each cabinet: POST https://${yandex_api_gateway.main.domain}/v1/cabinets with the key in terraform/.secrets/operator_key
    4. open the console: https://${yandex_api_gateway.main.domain}/ with the same key
    5. open the dashboard: https://monitoring.yandex.cloud/folders/${var.folder_id}/dashboards/${yandex_monitoring_dashboard.main.dashboard_id}
    docs/deploying.md continues with the first unlock.
  TEXT
}
