# Only with mqtt_backend = "external": VMs for the trigger bridge of a broker that Terraform does not
# manage. With Mosquitto, the bridge runs on its VM. docs/broker-cluster.md has the requirements.

locals {
  bridges = local.external ? var.bridges : 0

  # How the functions connect, and what cabinets connect to.
  external_mqtt = local.external ? {
    host     = var.external_mqtt.host
    port     = var.external_mqtt.port
    devices  = "${coalesce(var.external_mqtt.devices_host, var.external_mqtt.host)}:${coalesce(var.external_mqtt.devices_port, var.external_mqtt.port)}"
    ca_pem   = var.external_mqtt.ca_file == "" ? "" : file("${path.module}/${var.external_mqtt.ca_file}")
    username = var.external_mqtt.service_login
  } : null

  bridge_recipe = templatefile("${path.module}/broker/user-data.yaml.tftpl", {
    files     = local.broker_files
    mosquitto = false
  })

  # Read by broker/refresh. All bridges have one session: its client id is the same for all, and stays
  # when the password changes, because a new session would not have the old one's messages.
  bridge_settings = local.bridges == 0 ? null : {
    ca = local.mqtt.ca_pem
    bridge_password = {
      secret_id  = yandex_lockbox_secret.this["mqtt_bridge_password"].id
      version_id = yandex_lockbox_secret_version.this["mqtt_bridge_password"].id
    }
    logs = local.broker_settings.logs
    bridge_environment = merge(
      local.broker_settings.bridge_environment,
      {
        MQTT_HOST        = local.mqtt.host
        MQTT_PORT        = tostring(local.mqtt.port)
        MQTT_USERNAME    = var.external_mqtt.bridge_login
        BRIDGE_CLIENT_ID = "bridge-${yandex_lockbox_secret.this["mqtt_bridge_password"].id}"
      },
      local.mqtt.ca_pem == "" ? { MQTT_CA_FILE = "" } : {}, # the system's CAs
      var.bridges > 1 ? { BRIDGE_STANDBY = "true" } : {},   # one is active, the others stand by
    )
  }
}

resource "yandex_lockbox_secret_iam_member" "bridge" {
  count = local.bridges == 0 ? 0 : 1

  secret_id = yandex_lockbox_secret.this["mqtt_bridge_password"].id
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.bridge.id}"
}

# cloud-init runs only once per machine, so a changed recipe replaces the machines. Messages wait in the
# broker meanwhile.
resource "terraform_data" "bridge_recipe" {
  count = local.bridges == 0 ? 0 : 1

  input = sha256(local.bridge_recipe)
}

resource "yandex_compute_instance" "bridge" {
  count = local.bridges

  name                      = "${local.name}-bridge-${count.index + 1}"
  description               = "The trigger bridge."
  hostname                  = "${local.name}-bridge-${count.index + 1}"
  zone                      = element(keys(var.zones), count.index)
  platform_id               = "standard-v3"
  service_account_id        = yandex_iam_service_account.bridge.id
  allow_stopping_for_update = true

  resources {
    cores         = var.bridge_size.cores
    core_fraction = var.bridge_size.core_fraction
    memory        = var.bridge_size.memory_gb
  }

  boot_disk {
    initialize_params {
      image_id = data.yandex_compute_image.ubuntu.id
      size     = 10
      type     = "network-ssd"
    }
  }

  network_interface {
    subnet_id          = yandex_vpc_subnet.main[element(keys(var.zones), count.index)].id
    security_group_ids = [yandex_vpc_security_group.broker.id]
    nat                = true
  }

  metadata = merge({
    user-data = local.bridge_recipe
    broker    = jsonencode(local.bridge_settings)
    bridge    = try(filebase64("${path.module}/../dist/bridge.zip"), "")
  }, var.ssh_key == "" ? {} : { ssh-keys = "ubuntu:${var.ssh_key}" })

  metadata_options {
    gce_http_endpoint    = 1 # on: cloud-init, refresh and the bridge use it
    gce_http_token       = 1
    aws_v1_http_endpoint = 1
    aws_v1_http_token    = 2 # off: a second way to get the token
  }

  lifecycle {
    replace_triggered_by = [terraform_data.bridge_recipe]
    ignore_changes       = [boot_disk[0].initialize_params[0].image_id] # a newer image does not replace the machine

    precondition {
      condition     = fileexists("${path.module}/../dist/bridge.zip")
      error_message = "dist/bridge.zip is missing: run `make package`."
    }
  }

  depends_on = [yandex_lockbox_secret_iam_member.bridge]
}
