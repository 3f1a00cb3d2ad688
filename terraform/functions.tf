# All functions in one map. `uses` determines their environment variables, secrets and roles. A
# repeated unlock may wait twice, hence its timeout of twice the wait.
#
# All functions share the zone's quota of concurrent calls, and a Python instance serves one call at a
# time. concurrency.json gives each function a share of the quota, and the least that it needs: the
# local cloud reads it, too. The shares add up to the quota, so whatever is asked of the others, unlocks
# keep theirs: entirely from 50 calls on, in part with fewer, because of what each function needs.

locals {
  functions = {
    accumulators  = { uses = ["database"], timeout = 30 }
    authorizer    = { uses = ["keys"], timeout = 5 }
    booking       = { uses = ["database"], timeout = 30 }
    cabinets      = { uses = ["database", "queue"], timeout = 30 }
    events        = { uses = ["database", "webhooks"], timeout = 70 } # delivers for 55 s, then ends attempts of 10 s
    migrate       = { uses = ["ownership"], timeout = 600 }
    mqtt_trigger  = { uses = ["database"], timeout = 50 }
    poll_cabinets = { uses = ["database", "queue", "metrics"], timeout = 50 }
    swap          = { uses = ["database"], timeout = 30 }
    unlock        = { uses = ["database", "queue"], timeout = 2 * var.unlock_wait_seconds + 30 }
  }

  concurrency = jsondecode(file("${path.module}/concurrency.json"))
  limits      = { for name in keys(local.functions) : name => max(local.concurrency[name].least, floor(local.concurrency[name].share * var.zone_concurrency)) }

  # What is left for unlocks in a zone if all other functions are as busy as they may be.
  kept_for_unlocks = min(local.limits["unlock"], max(0, var.zone_concurrency - sum([for name, limit in local.limits : limit if !contains(["migrate", "unlock"], name)])))

  # Of a user's URL, everything after the user's name. It names all hosts, and the driver finds the primary
  # among them: the platform's name for the primary may point to the old one for ten minutes.
  database_address = join("", [
    "@${join(",", [for host in values(yandex_mdb_postgresql_cluster_v2.main.hosts) : "${host.fqdn}:6432"])}",
    "/${yandex_mdb_postgresql_database.main.name}",
    "?sslmode=verify-full&sslrootcert=/usr/local/share/ca-certificates/yandex-internal-ca.crt",
  ])

  environments = {
    database = merge(
      {
        DATABASE_URL        = "postgresql://${yandex_mdb_postgresql_user.limited["functions"].name}${local.database_address}&target_session_attrs=read-write"
        UNLOCK_WAIT_SECONDS = tostring(var.unlock_wait_seconds)
      },
      var.read_replica ? {
        DATABASE_REPLICA_URL = "postgresql://${yandex_mdb_postgresql_user.limited["functions"].name}${local.database_address}&target_session_attrs=prefer-standby"
      } : {},
    )
    ownership = {
      DATABASE_URL            = "postgresql://${yandex_mdb_postgresql_user.service.name}${local.database_address}&target_session_attrs=read-write"
      DATABASE_FUNCTIONS_USER = yandex_mdb_postgresql_user.limited["functions"].name
      DATABASE_READER_USER    = yandex_mdb_postgresql_user.limited["reader"].name
    }
    queue = {
      MQTT_HOST     = local.mqtt.host
      MQTT_PORT     = tostring(local.mqtt.port)
      MQTT_CA_PEM   = local.mqtt.ca_pem
      MQTT_USERNAME = local.mqtt.username
      MQTT_VERSION  = local.mqtt.version
      REGISTRY_ID   = local.mqtt.registry
    }
    metrics  = { MONITORING_FOLDER_ID = var.folder_id }
    keys     = {}
    webhooks = {}
  }

  secrets_of_use = {
    database  = ["database_functions_password"]
    ownership = ["database_password"]
    queue     = ["mqtt_password"]
    keys      = ["api_keys"]
    metrics   = []
    webhooks  = ["webhooks_secret"]
  }

  roles_of_use = {
    database  = ["vpc.user"]
    ownership = ["vpc.user"]
    queue     = []
    keys      = []
    metrics   = ["monitoring.editor"]
    webhooks  = []
  }

  # Shows which package a function has. The provider only warns if the platform refuses a version, records
  # the new user_hash all the same, and plans nothing more; but it reads the environment back.
  packages = { for name in keys(local.functions) : name => { PACKAGE = substr(try(filesha256("${path.module}/../dist/${name}.zip"), "none"), 0, 12) } }

  definitions = {
    for name, function in local.functions : name => {
      name        = "${local.name}-${replace(name, "_", "-")}"
      archive     = "${path.module}/../dist/${name}.zip"
      timeout     = tostring(function.timeout)
      in_network  = length(setintersection(function.uses, ["database", "ownership"])) > 0
      roles       = toset(flatten([for use in function.uses : local.roles_of_use[use]]))
      secrets     = toset(flatten([for use in function.uses : local.secrets_of_use[use]]))
      environment = merge(var.settings, local.packages[name], [for use in function.uses : local.environments[use]]...)
    }
  }

  # The platform limits names and values, including secrets, to 4 KB. The size of secrets that Terraform
  # does not know is assumed to be 64 bytes.
  environment_bytes = {
    for name, definition in local.definitions : name => sum(concat(
      [for key, value in definition.environment : length(key) + length(value)],
      [for key in definition.secrets : length(local.secrets[key].variable) + (key == "api_keys" ? length(coalesce(local.secret_files.api_keys.text, "-")) : 64)],
      [0],
    ))
  }
}

resource "yandex_function" "this" {
  for_each = { for name, definition in local.definitions : name => definition if name != "migrate" }

  name               = each.value.name
  runtime            = "python312"
  entrypoint         = "main.handler"
  memory             = var.function_memory_mb
  execution_timeout  = each.value.timeout
  service_account_id = yandex_iam_service_account.function[each.key].id
  user_hash          = try(filebase64sha256(each.value.archive), "")
  environment        = each.value.environment

  content {
    zip_filename = each.value.archive
  }

  dynamic "secrets" {
    for_each = each.value.secrets
    content {
      id                   = local.secrets[secrets.key].secret_id
      version_id           = local.secrets[secrets.key].version_id
      key                  = local.secrets[secrets.key].key
      environment_variable = local.secrets[secrets.key].variable
    }
  }

  dynamic "connectivity" {
    for_each = each.value.in_network ? [yandex_vpc_network.main.id] : []
    content {
      network_id = connectivity.value
    }
  }

  log_options {
    log_group_id = yandex_logging_group.main.id
  }

  # New code never runs on an old schema: a failed migration stops the apply before this resource.
  depends_on = [
    terraform_data.migrations,
    yandex_lockbox_secret_iam_member.function,
    yandex_resourcemanager_folder_iam_member.function,
    yandex_vpc_subnet.main,
  ]

  lifecycle {
    precondition {
      condition     = fileexists(each.value.archive)
      error_message = "${each.value.archive} is missing: run `make package`."
    }
    precondition {
      condition     = local.environment_bytes[each.key] <= 4096
      error_message = "The environment of ${each.key} has ${local.environment_bytes[each.key]} bytes; the platform allows 4096. Remove API keys, or use a CA with an elliptic-curve key."
    }
    postcondition {
      condition     = self.version != null && self.version != "" && lookup(self.environment, "PACKAGE", "") == each.value.environment["PACKAGE"]
      error_message = "The platform refused the new version of ${each.key}, for the reason in the warning; what was deployed before still runs. Remove the reason and apply again."
    }
  }
}

resource "yandex_function_scaling_policy" "this" {
  for_each = { for name, limit in local.limits : name => limit if name != "migrate" }

  function_id = yandex_function.this[each.key].id

  policy {
    tag                  = "$latest"
    zone_instances_limit = each.value
    zone_requests_limit  = each.value
  }
}
