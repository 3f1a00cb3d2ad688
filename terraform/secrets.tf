# Secrets are stored in .secrets (make secrets) and in Lockbox, never in the state: Lockbox versions are
# made by a command, of which the state holds only the text, and the database's passwords are write-only
# arguments. A changed file makes a new Lockbox version, and the functions are updated to it.

locals {
  secret_files = {
    for name in concat(
      ["database_password", "database_functions_password", "database_reader_password", "api_keys", "webhooks_secret"],
      local.external ? ["mqtt_service_password", "mqtt_bridge_password"] : [],
      ) : name => {
      path     = "${path.module}/.secrets/${name}"
      text     = try(file("${path.module}/.secrets/${name}"), null)
      revision = try(filesha256("${path.module}/.secrets/${name}"), sha256(""))
    }
  }

  # Versions of the write-only passwords: numbers that change with the files.
  password_versions = { for name, file in local.secret_files : name => parseint(substr(file.revision, 0, 12), 16) }

  # No function needs the reader's password.
  secret_files_in_lockbox = { for name, file in local.secret_files : name => file if name != "database_reader_password" }
}

resource "yandex_lockbox_secret" "this" {
  for_each = local.secret_files_in_lockbox

  name        = "${local.name}-${replace(each.key, "_", "-")}"
  description = "Written by Terraform from .secrets/${each.key}."
}

resource "yandex_lockbox_secret_version" "this" {
  for_each = local.secret_files_in_lockbox

  secret_id   = yandex_lockbox_secret.this[each.key].id
  description = "Revision ${substr(each.value.revision, 0, 12)}"

  entries {
    key = each.key
    command {
      path = "cat"
      args = [each.value.path]
    }
  }

  lifecycle {
    create_before_destroy = true
    precondition {
      condition     = fileexists(each.value.path)
      error_message = "${each.value.path} is missing: ${startswith(each.key, "mqtt_") ? "run `python3 terraform/secret_files.py mqtt ${split("_", each.key)[1]}` with the login's password at your broker" : "run `make secrets`"}, or restore it (docs/deploying.md)."
    }
    precondition {
      condition     = !startswith(each.key, "mqtt_") || !can(regex("\\s", coalesce(each.value.text, "-")))
      error_message = "${each.value.path} contains a space or a line end: the whole file is the secret."
    }
  }
}
