# A broker of one's own. tests/external_broker.py writes the passwords that this needs, and runs it.

variables {
  cloud_id            = "b1gcloud"
  folder_id           = "b1gfolder"
  mqtt_backend        = "external"
  external_mqtt       = { host = "node1.mqtt.example.com", port = 8885, devices_host = "mqtt.example.com", devices_port = 8883, ca_file = "broker/pki/ca.pem" }
  apply_migrations    = false
  publish_console     = false
  grant_log_role      = false
  deletion_protection = false
}

run "one_bridge" {
  command = apply

  assert {
    condition     = output.mqtt_broker == "mqtt.example.com:8883" && output.broker_ca == file("${path.module}/broker/pki/ca.pem") && output.broker_address == null && length(output.cabinets_secret_ids) == 0
    error_message = "the outputs do not describe the external broker"
  }
  assert {
    condition     = [for name in ["MQTT_HOST", "MQTT_PORT", "MQTT_USERNAME", "MQTT_CA_PEM", "MQTT_VERSION"] : yandex_function.this["unlock"].environment[name]] == ["node1.mqtt.example.com", "8885", "service", output.broker_ca, "5"]
    error_message = "the functions do not publish to the external broker"
  }
  assert {
    condition     = one([for secret in yandex_function.this["unlock"].secrets : secret.id if secret.environment_variable == "MQTT_PASSWORD"]) == yandex_lockbox_secret.this["mqtt_service_password"].id
    error_message = "the functions do not have the password of the login service"
  }
  assert {
    condition     = [for name, member in yandex_lockbox_secret_iam_member.function : name if member.secret_id == yandex_lockbox_secret.this["mqtt_bridge_password"].id] == []
    error_message = "a function can read the bridge's password"
  }
  assert {
    condition     = length(yandex_compute_instance.broker) + length(yandex_compute_disk.broker) + length(yandex_vpc_address.broker) + length(yandex_lockbox_secret.cabinets) == 0 && length(yandex_compute_instance.bridge) == 1
    error_message = "there is a part of Mosquitto's VM, or not exactly one bridge"
  }
  assert {
    condition     = !strcontains(yandex_compute_instance.bridge[0].metadata.user-data, "mosquitto.conf") && can(yamldecode(yandex_compute_instance.bridge[0].metadata.user-data).write_files) && !contains(yamldecode(yandex_compute_instance.bridge[0].metadata.user-data).packages, "mosquitto")
    error_message = "the bridge's VM installs Mosquitto, or its user data is no YAML"
  }
  assert {
    condition     = jsondecode(yandex_compute_instance.bridge[0].metadata.broker).bridge_password.secret_id == yandex_lockbox_secret_iam_member.bridge[0].secret_id
    error_message = "the bridge's VM may not read the bridge's password"
  }
  assert {
    condition     = !can(jsondecode(yandex_compute_instance.bridge[0].metadata.broker).bridge_environment.BRIDGE_STANDBY)
    error_message = "the only bridge stands by"
  }
  assert {
    condition     = length([for rule in yandex_vpc_security_group.broker.ingress : rule]) == 0
    error_message = "the bridge's VM accepts connections"
  }
}

run "three_bridges_share_a_session" {
  command = apply
  variables {
    bridges       = 3
    external_mqtt = { host = "mqtt.example.com" }
    mqtt_version  = "3.1.1"
  }
  assert {
    condition     = [for instance in yandex_compute_instance.bridge : instance.zone] == [for zone in keys(var.zones) : zone]
    error_message = "the bridges are not in different zones"
  }
  assert {
    condition     = length(distinct([for instance in yandex_compute_instance.bridge : instance.metadata.broker])) == 1 && jsondecode(yandex_compute_instance.bridge[2].metadata.broker).bridge_environment.BRIDGE_STANDBY == "true"
    error_message = "the bridges do not stand by for each other in one session"
  }
  assert {
    condition     = jsondecode(yandex_compute_instance.bridge[0].metadata.broker).bridge_environment.MQTT_CA_FILE == "" && yandex_function.this["unlock"].environment["MQTT_CA_PEM"] == ""
    error_message = "without ca_file, the system's CAs verify the broker"
  }
  assert {
    condition     = output.mqtt_broker == "mqtt.example.com:8883" && yandex_function.this["unlock"].environment["MQTT_VERSION"] == "3.1.1"
    error_message = "the defaults, or mqtt_version, are not used"
  }
}
