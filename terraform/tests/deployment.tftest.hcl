# What follows from what: read off an apply against the stand-in provider.

variables {
  cloud_id            = "b1gcloud"
  folder_id           = "b1gfolder"
  mqtt_backend        = "mosquitto"
  apply_migrations    = false
  deletion_protection = false
}

run "deletion_protection" {
  command = plan
  variables {
    deletion_protection = true
  }
  assert {
    condition     = yandex_mdb_postgresql_cluster_v2.main.deletion_protection && yandex_mdb_postgresql_database.main.deletion_protection == "true"
    error_message = "the database can be deleted by mistake"
  }
}

run "defaults" {
  command = apply

  assert {
    condition     = startswith(output.api_url, "https://")
    error_message = "api_url is not a URL: ${output.api_url}"
  }
  assert {
    condition     = endswith(output.mqtt_broker, ":8883")
    error_message = "cabinets need TLS: ${output.mqtt_broker}"
  }
  assert {
    condition     = length(output.function_ids) == length(fileset("${path.module}/../functions", "*/main.py"))
    error_message = "each folder of functions/ is a function, and there is no other"
  }
  assert {
    condition     = !strcontains(yandex_api_gateway.main.spec, "$${")
    error_message = "the document has a placeholder that nothing fills in"
  }
  assert {
    condition     = toset([for rule in yandex_vpc_security_group.database.ingress : join(",", rule.v4_cidr_blocks) if rule.predefined_target == null || rule.predefined_target == ""]) == toset(["198.19.0.0/16"])
    error_message = "the database can be reached by others than functions"
  }
  assert {
    condition     = alltrue([for rule in yandex_vpc_security_group.broker.ingress : rule.port != 22])
    error_message = "SSH is open though ssh_from is empty"
  }
  assert {
    condition     = length(yandex_function_iam_binding.invoker["mqtt_trigger"].members) == 1 && yandex_function_iam_binding.invoker["mqtt_trigger"].members != yandex_function_iam_binding.invoker["unlock"].members
    error_message = "the bridge alone invokes mqtt_trigger"
  }
  assert {
    condition     = length(yandex_function.this["authorizer"].connectivity) == 0 && [for secret in yandex_function.this["authorizer"].secrets : secret.environment_variable] == ["API_KEYS"]
    error_message = "the authorizer needs the keys and nothing else"
  }
  assert {
    condition     = tonumber(yandex_api_gateway.main.execution_timeout) > tonumber(yandex_function.this["unlock"].execution_timeout) && tonumber(yandex_function.this["unlock"].execution_timeout) > 2 * var.unlock_wait_seconds
    error_message = "the gateway must outlast the function, and the function its wait"
  }
  assert {
    condition     = sum([for name in ["mqtt_trigger", "poll_cabinets", "migrate", "unlock"] : local.limits[name]]) < var.zone_concurrency
    error_message = "triggers and waiting unlocks leave no call to the quick functions"
  }
  assert {
    condition     = !strcontains(yandex_api_gateway.main.spec, "x-yc-apigateway\":{\"cors")
    error_message = "browsers may call the API though nobody said so"
  }
}

run "ssh_is_open_to_those_named" {
  command = apply
  variables {
    ssh_from = ["198.51.100.7/32"]
  }
  assert {
    condition     = flatten([for rule in yandex_vpc_security_group.broker.ingress : rule.v4_cidr_blocks if rule.port == 22]) == ["198.51.100.7/32"]
    error_message = "SSH is not open to exactly these"
  }
}

run "a_longer_wait_moves_the_time_outs" {
  command = apply
  variables {
    unlock_wait_seconds = 60
    zone_concurrency    = 100
    cors_origin         = "https://console.example"
  }
  assert {
    condition     = yandex_function.this["unlock"].environment["UNLOCK_WAIT_SECONDS"] == "60" && tonumber(yandex_function.this["unlock"].execution_timeout) > 120
    error_message = "the function ends before its wait does"
  }
  assert {
    condition     = one(yandex_function_scaling_policy.this["unlock"].policy).zone_requests_limit == 40
    error_message = "the share of unlocks does not follow the quota"
  }
  assert {
    condition     = jsondecode(yandex_api_gateway.main.spec)["x-yc-apigateway"].cors.origin == "https://console.example"
    error_message = "the origin is not let in"
  }
}

run "iot_core" {
  command = apply
  variables {
    mqtt_backend     = "iot_core"
    iot_core_devices = { C-001 = [] }
  }
  assert {
    condition     = output.mqtt_broker == "mqtt.cloud.yandex.net:8883"
    error_message = "cabinets are sent elsewhere: ${output.mqtt_broker}"
  }
  assert {
    condition     = output.registry_id == yandex_iot_core_registry.main[0].id && keys(output.iot_core_devices) == ["C-001"]
    error_message = "the functions speak for another registry, or a device is missing"
  }
  assert {
    condition     = yandex_function_trigger.mqtt[0].iot[0].topic == "$devices/+/events" && length(yandex_function_trigger.mqtt[0].dlq) == 1
    error_message = "the trigger must take events only, and keep what fails"
  }
}
