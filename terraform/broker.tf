# A broker of one's own: one VM with Mosquitto and the trigger bridge. cloud-init makes it once from
# the files in broker/; what changes afterwards - certificates, logins, the bridge's package - the
# VM fetches by itself (broker/refresh). Nothing here is made with mqtt_backend = "iot_core".

locals {
  brokers = local.iot_core ? 0 : 1

  broker_address = one(yandex_vpc_address.broker[*].external_ipv4_address[0].address)
  broker_host    = var.broker_domain != "" ? var.broker_domain : local.broker_address
  broker_ca_pem  = try(file("${path.module}/${var.broker_pki}/ca.pem"), "")

  mqtt_host   = local.broker_host
  mqtt_port   = 8883
  mqtt_ca_pem = local.broker_ca_pem

  broker_files = { for name in fileset("${path.module}/broker", "*") : name => filebase64("${path.module}/broker/${name}") }
  broker_recipe = templatefile("${path.module}/broker/user-data.yaml.tftpl", {
    files = local.broker_files
  })

  # What broker/refresh reads. Ids only: the secrets themselves it gets from Lockbox.
  broker_settings = local.iot_core ? null : {
    ca      = local.broker_ca_pem
    revoked = try(file("${path.module}/${var.broker_pki}/revoked.pem"), "")
    certificate = {
      secret_id  = one(yandex_lockbox_secret.broker_certificate[*].id)
      version_id = one(yandex_lockbox_secret_version.broker_certificate[*].id)
    }
    service = {
      secret_id  = one(yandex_lockbox_secret.mqtt[*].id)
      version_id = one(yandex_lockbox_secret_version.mqtt[*].id)
    }
    cabinets = { secret_id = one(yandex_lockbox_secret.cabinets[*].id) }
    bridge_environment = {
      BRIDGE_FUNCTION_ID = yandex_function.this["mqtt_trigger"].id
      REGISTRY_ID        = local.mqtt.registry
    }
  }

  # Its own token is all that the VM needs to read them.
  broker_reads = local.iot_core ? {} : {
    certificate = one(yandex_lockbox_secret.broker_certificate[*].id)
    service     = one(yandex_lockbox_secret.mqtt[*].id)
    cabinets    = one(yandex_lockbox_secret.cabinets[*].id)
  }
}

resource "yandex_vpc_address" "broker" {
  count = local.brokers

  name                = "${local.name}-broker"
  description         = "Cabinets are told this address, or a name that leads to it."
  deletion_protection = var.deletion_protection

  external_ipv4_address {
    zone_id = var.broker_zone
  }
}

# --- Secrets ---------------------------------------------------------------------------------------

# The password of the login `service`. Lockbox makes it; nobody else ever sees it.
resource "yandex_lockbox_secret" "mqtt" {
  count = local.brokers

  name        = "${local.name}-mqtt"
  description = "The functions' password at the broker."

  password_payload_specification {
    password_key        = "password"
    length              = 40
    include_punctuation = false
  }
}

resource "yandex_lockbox_secret_version" "mqtt" {
  count = local.brokers

  secret_id = one(yandex_lockbox_secret.mqtt[*].id)

  lifecycle {
    create_before_destroy = true
  }
}

resource "yandex_lockbox_secret" "broker_certificate" {
  count = local.brokers

  name        = "${local.name}-broker-certificate"
  description = "The broker's certificate and its key, by broker/certificates."
}

resource "yandex_lockbox_secret_version" "broker_certificate" {
  count = local.brokers

  secret_id = one(yandex_lockbox_secret.broker_certificate[*].id)

  # Signed here and now, for a host that is known only now; the state keeps the command, not the key.
  entries {
    key = "server.pem"
    command {
      path = "${path.module}/broker/certificates"
      args = ["server", local.broker_host]
      env  = { PKI = "${path.module}/${var.broker_pki}" }
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Cabinets' logins: broker/credentials makes its versions, Terraform none.
resource "yandex_lockbox_secret" "cabinets" {
  count = local.brokers

  name                = "${local.name}-cabinets"
  description         = "Hashes of the cabinets' passwords, by broker/credentials."
  deletion_protection = var.deletion_protection
}

resource "yandex_lockbox_secret_iam_member" "broker" {
  for_each = local.broker_reads

  secret_id = each.value
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.bridge.id}"
}

# To see whether there is a new version, without asking for its payload each time.
resource "yandex_lockbox_secret_iam_member" "broker_versions" {
  count = local.brokers

  secret_id = one(yandex_lockbox_secret.cabinets[*].id)
  role      = "lockbox.viewer"
  member    = "serviceAccount:${yandex_iam_service_account.bridge.id}"
}

# --- Disk ------------------------------------------------------------------------------------------

resource "yandex_compute_disk" "broker" {
  count = local.brokers

  name        = "${local.name}-broker"
  description = "The bridge's session: messages that the functions have not taken yet."
  zone        = var.broker_zone
  type        = "network-ssd"
  size        = var.broker_disk_gb
}

resource "yandex_compute_snapshot_schedule" "broker" {
  count = local.brokers

  name           = "${local.name}-broker"
  disk_ids       = yandex_compute_disk.broker[*].id
  snapshot_count = var.broker_snapshots

  schedule_policy {
    expression = "30 1 * * *" # UTC
  }
}

# --- Machine ---------------------------------------------------------------------------------------

data "yandex_compute_image" "ubuntu" {
  count = local.brokers

  family = "ubuntu-2404-lts"
}

# cloud-init runs once in a machine's life: another recipe is another machine. The disk, the address
# and the logins stay; it takes a few minutes, in which cabinets are refused and try again.
resource "terraform_data" "broker_recipe" {
  count = local.brokers

  input = sha256(local.broker_recipe)
}

resource "yandex_compute_instance" "broker" {
  count = local.brokers

  name                      = "${local.name}-broker"
  description               = "Mosquitto and the trigger bridge."
  hostname                  = "${local.name}-broker"
  zone                      = var.broker_zone
  platform_id               = "standard-v3"
  service_account_id        = yandex_iam_service_account.bridge.id
  allow_stopping_for_update = true

  resources {
    cores         = var.broker_size.cores
    core_fraction = var.broker_size.core_fraction
    memory        = var.broker_size.memory_gb
  }

  boot_disk {
    initialize_params {
      image_id = one(data.yandex_compute_image.ubuntu[*].id)
      size     = 10
      type     = "network-ssd"
    }
  }

  secondary_disk {
    disk_id     = one(yandex_compute_disk.broker[*].id)
    device_name = "broker-data" # /dev/disk/by-id/virtio-broker-data
    auto_delete = false
  }

  network_interface {
    subnet_id          = yandex_vpc_subnet.main[var.broker_zone].id
    security_group_ids = [yandex_vpc_security_group.broker.id]
    nat                = true
    nat_ip_address     = local.broker_address
  }

  metadata = merge({
    user-data = local.broker_recipe
    broker    = jsonencode(local.broker_settings)
    bridge    = try(filebase64("${path.module}/../dist/bridge.zip"), "")
  }, var.ssh_key == "" ? {} : { ssh-keys = "ubuntu:${var.ssh_key}" })

  metadata_options {
    gce_http_endpoint    = 1 # on: cloud-init, refresh and the bridge ask it
    gce_http_token       = 1
    aws_v1_http_endpoint = 1
    aws_v1_http_token    = 2 # off: one way to the token is enough
  }

  lifecycle {
    replace_triggered_by = [terraform_data.broker_recipe]
    ignore_changes       = [boot_disk[0].initialize_params[0].image_id] # a new image is no reason to start anew

    precondition {
      condition     = fileexists("${path.module}/../dist/bridge.zip")
      error_message = "dist/bridge.zip is missing: run `make package`."
    }
    precondition {
      condition     = local.broker_ca_pem != "" && fileexists("${path.module}/${var.broker_pki}/revoked.pem")
      error_message = "There is no CA in ${var.broker_pki}: put yours there, or make one, once, by `terraform/broker/certificates authority`."
    }
  }

  depends_on = [
    yandex_lockbox_secret_iam_member.broker,
    yandex_lockbox_secret_iam_member.broker_versions,
  ]
}

# A disk has no deletion protection, and prevent_destroy takes no variable. Whoever would destroy the
# disk has to destroy this first, before the machine too.
resource "terraform_data" "broker_disk_guard" {
  count = local.brokers

  input            = { protected = var.deletion_protection, disk_id = one(yandex_compute_disk.broker[*].id) }
  triggers_replace = one(yandex_compute_disk.broker[*].id)

  provisioner "local-exec" {
    when    = destroy
    command = self.input.protected ? "echo 'disk ${self.input.disk_id} holds messages: set deletion_protection = false and apply first' >&2; exit 1" : "true"
  }

  depends_on = [yandex_compute_instance.broker]
}

# --- Outputs ---------------------------------------------------------------------------------------

output "broker_address" {
  description = "The broker's public address: point broker_domain's A record here."
  value       = local.broker_address
}

output "broker_ca" {
  description = "The CA that cabinets trust."
  value       = local.broker_ca_pem
}

output "cabinets_secret_id" {
  description = "Where broker/credentials keeps cabinets' logins."
  value       = one(yandex_lockbox_secret.cabinets[*].id)
}
