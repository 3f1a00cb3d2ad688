# Only with mqtt_backend = "mosquitto": one VM with Mosquitto and the trigger bridge. cloud-init
# installs it once, from the files in broker/. The VM fetches later changes (certificates, logins, the
# bridge's package) itself, with broker/refresh. The VMs in bridge.tf are installed in the same way.

locals {
  brokers = var.mqtt_backend == "mosquitto" ? 1 : 0

  broker_address = one(yandex_vpc_address.broker[*].external_ipv4_address[0].address)
  broker_host    = var.broker_domain != "" ? var.broker_domain : local.broker_address
  broker_ca_pem  = try(file("${path.module}/${var.broker_pki}/ca.pem"), "")

  broker_files = { for name in fileset("${path.module}/broker", "*") : name => filebase64("${path.module}/broker/${name}") }
  broker_recipe = templatefile("${path.module}/broker/user-data.yaml.tftpl", {
    files     = local.broker_files
    mosquitto = true
  })

  # Read by broker/refresh. It has only the ids of secrets; refresh gets their values from Lockbox.
  broker_settings = {
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
    cabinets = [for secret in yandex_lockbox_secret.cabinets : { secret_id = secret.id }]
    logs = length(yandex_logging_group.broker) == 0 ? null : {
      log_group_id = one(yandex_logging_group.broker[*].id)
      agent        = var.broker_log_agent
    }
    bridge_environment = {
      BRIDGE_FUNCTION_ID = yandex_function.this["mqtt_trigger"].id
      BRIDGE_LANES       = tostring(min(var.bridge_lanes, local.limits["mqtt_trigger"])) # more would be throttled
      REGISTRY_ID        = local.mqtt.registry
    }
  }

  # Secrets that the VM may read with its service account's token.
  broker_reads = local.brokers == 0 ? {} : merge(
    {
      certificate = one(yandex_lockbox_secret.broker_certificate[*].id)
      service     = one(yandex_lockbox_secret.mqtt[*].id)
    },
    { for index, name in local.cabinets_secrets : name => yandex_lockbox_secret.cabinets[index].id }
  )

  # The first one has no number: it was the only one in earlier releases, and keeps its address and name.
  cabinets_secrets = [for index in range(local.brokers * var.cabinet_login_secrets) : index == 0 ? "cabinets" : "cabinets-${index + 1}"]
}

resource "yandex_vpc_address" "broker" {
  count = local.brokers

  name                = "${local.name}-broker"
  description         = "Address of the broker, for cabinets and functions."
  deletion_protection = var.deletion_protection

  external_ipv4_address {
    zone_id = var.broker_zone
  }
}

# --- Secrets ---------------------------------------------------------------------------------------

# The password of the login `service`. Lockbox generates it; it never leaves the cloud.
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
  description = "The broker's certificate and key, made by broker/certificates."
}

resource "yandex_lockbox_secret_version" "broker_certificate" {
  count = local.brokers

  secret_id = one(yandex_lockbox_secret.broker_certificate[*].id)

  # Signed during apply, because the host may be known only then. The state holds the command, not the key.
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

# Cabinets' logins, 585 in each secret. `python -m tools logins` makes the versions; Terraform makes none.
resource "yandex_lockbox_secret" "cabinets" {
  count = length(local.cabinets_secrets)

  name                = "${local.name}-${local.cabinets_secrets[count.index]}"
  description         = "Hashes of the cabinets' passwords, made by python -m tools logins."
  deletion_protection = var.deletion_protection
}

resource "yandex_lockbox_secret_iam_member" "broker" {
  for_each = local.broker_reads

  secret_id = each.value
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.bridge.id}"
}

# Lets refresh look for a new version without reading its payload each time.
resource "yandex_lockbox_secret_iam_member" "broker_versions" {
  count = length(local.cabinets_secrets)

  secret_id = yandex_lockbox_secret.cabinets[count.index].id
  role      = "lockbox.viewer"
  member    = "serviceAccount:${yandex_iam_service_account.bridge.id}"
}

# --- Logs ------------------------------------------------------------------------------------------

# A group of its own: the machine's account may write here, and to no function's log.
resource "yandex_logging_group" "broker" {
  count = var.broker_logs ? 1 : 0

  name             = "${local.name}-broker"
  description      = "Logs of Mosquitto, the bridge and refresh, sent by Unified Agent."
  retention_period = "${var.log_days * 24}h0m0s"
}

# The provider has no resource for roles on a log group, hence the program.
resource "terraform_data" "broker_log_writer" {
  count = var.grant_log_role ? length(yandex_logging_group.broker) : 0

  triggers_replace = {
    log_group_id       = one(yandex_logging_group.broker[*].id)
    service_account_id = yandex_iam_service_account.bridge.id
  }

  provisioner "local-exec" {
    working_dir = "${path.module}/.."
    command     = "python3 -m terraform.log_writer \"$LOG_GROUP\" \"$ACCOUNT\""
    environment = {
      LOG_GROUP = one(yandex_logging_group.broker[*].id)
      ACCOUNT   = yandex_iam_service_account.bridge.id
    }
  }
}

# --- Disk ------------------------------------------------------------------------------------------

resource "yandex_compute_disk" "broker" {
  count = local.brokers

  name        = "${local.name}-broker"
  description = "Mosquitto's data: messages that the functions have not processed yet."
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
  family = "ubuntu-2404-lts"
}

# cloud-init runs only once per machine, so a changed recipe replaces the machine. The disk, the address
# and the logins are kept. It takes a few minutes, in which cabinets cannot connect and retry.
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
      image_id = data.yandex_compute_image.ubuntu.id
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
    gce_http_endpoint    = 1 # on: cloud-init, refresh and the bridge use it
    gce_http_token       = 1
    aws_v1_http_endpoint = 1
    aws_v1_http_token    = 2 # off: a second way to get the token
  }

  lifecycle {
    replace_triggered_by = [terraform_data.broker_recipe]
    ignore_changes       = [boot_disk[0].initialize_params[0].image_id] # a newer image does not replace the machine

    precondition {
      condition     = fileexists("${path.module}/../dist/bridge.zip")
      error_message = "dist/bridge.zip is missing: run `make package`."
    }
    precondition {
      condition     = local.broker_ca_pem != "" && fileexists("${path.module}/${var.broker_pki}/revoked.pem")
      error_message = "There is no CA in ${var.broker_pki}: restore yours, or make the first one with `terraform/broker/certificates authority`."
    }
  }

  depends_on = [
    yandex_lockbox_secret_iam_member.broker,
    yandex_lockbox_secret_iam_member.broker_versions,
  ]
}

# Protects the disk: disks have no deletion protection, and prevent_destroy does not accept a variable.
# Terraform destroys this resource before the disk and the machine, so its failure keeps both.
resource "terraform_data" "broker_disk_guard" {
  count = local.brokers

  input            = { protected = var.deletion_protection, disk_id = one(yandex_compute_disk.broker[*].id) }
  triggers_replace = one(yandex_compute_disk.broker[*].id)

  provisioner "local-exec" {
    when    = destroy
    command = self.input.protected ? "echo 'disk ${self.input.disk_id} holds undelivered messages; to delete it, set deletion_protection = false and apply first' >&2; exit 1" : "true"
  }

  depends_on = [yandex_compute_instance.broker]
}

# --- Outputs ---------------------------------------------------------------------------------------

output "broker_address" {
  description = "The broker's public address, for the A record of broker_domain."
  value       = local.broker_address
}

output "broker_ca" {
  description = "CA certificate that cabinets verify the broker with, PEM."
  value       = local.mqtt.ca_pem
}

output "cabinets_secret_ids" {
  description = "Ids of the secrets in which `python -m tools logins` stores cabinets' logins."
  value       = yandex_lockbox_secret.cabinets[*].id
}
