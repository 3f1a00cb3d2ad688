# Service accounts and their roles. Every role is granted on the narrowest resource possible.

# Each function has an account of its own, which can read the function's secrets and no others.
resource "yandex_iam_service_account" "function" {
  for_each = local.functions

  name        = "${local.name}-${replace(each.key, "_", "-")}"
  description = "Account of the function ${each.key}."

  lifecycle {
    create_before_destroy = true # a release that does not have it first gives the function another account
  }
}

resource "yandex_iam_service_account" "invoker" {
  name        = "${local.name}-invoker"
  description = "Account that the gateway and the triggers invoke functions with."
}

resource "yandex_iam_service_account" "bridge" {
  name        = "${local.name}-bridge"
  description = "Account of the broker's VM; the trigger bridge invokes mqtt_trigger with it."
}

resource "yandex_resourcemanager_folder_iam_member" "function" {
  for_each = merge([
    for name, definition in local.definitions : { for role in definition.roles : "${name}/${role}" => { function = name, role = role } }
  ]...)

  folder_id = var.folder_id
  role      = each.value.role
  member    = "serviceAccount:${yandex_iam_service_account.function[each.value.function].id}"

  lifecycle {
    create_before_destroy = true # a release that does not have it first gives the function another account
  }
}

resource "yandex_lockbox_secret_iam_member" "function" {
  for_each = merge([
    for name, definition in local.definitions : { for secret in definition.secrets : "${name}/${secret}" => { function = name, secret = secret } }
  ]...)

  secret_id = local.secrets[each.value.secret].secret_id
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.function[each.value.function].id}"

  lifecycle {
    create_before_destroy = true # a release that does not have it first gives the function another account
  }
}

# A binding replaces all members when it changes. Between changes, the provider compares its own members only:
# a plan does not show one that was added by hand, not even allUsers. `migrate` has no binding;
# the deployer invokes it with a role on the folder.
resource "yandex_function_iam_binding" "invoker" {
  for_each = yandex_function.this

  function_id = each.value.id
  role        = "functions.functionInvoker"
  members     = ["serviceAccount:${each.key == "mqtt_trigger" ? yandex_iam_service_account.bridge.id : yandex_iam_service_account.invoker.id}"]
}

# The account of all functions in earlier releases. Functions of such a release need it until each has its
# new version, and Terraform would delete it first: docs/deploying.md says when to.
resource "yandex_iam_service_account" "runner" {
  count = var.runner_account ? 1 : 0

  name        = "${local.name}-runner"
  description = "Account of the functions of earlier releases; none uses it now."
}

resource "yandex_resourcemanager_folder_iam_member" "runner" {
  for_each = toset(var.runner_account ? ["monitoring.editor", "vpc.user"] : [])

  folder_id = var.folder_id
  role      = each.key
  member    = "serviceAccount:${yandex_iam_service_account.runner[0].id}"
}

resource "yandex_lockbox_secret_iam_member" "runner" {
  for_each = var.runner_account ? {
    API_KEYS        = "api_keys"
    MQTT_PASSWORD   = "mqtt_password"
    PGPASSWORD      = "database_password"
    WEBHOOKS_SECRET = "webhooks_secret"
  } : {}

  secret_id = local.secrets[each.value].secret_id
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.runner[0].id}"
}
