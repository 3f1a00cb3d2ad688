# Service accounts and their roles. Every role is granted on the narrowest resource possible.

resource "yandex_iam_service_account" "runner" {
  name        = "${local.name}-runner"
  description = "Account of the functions."
}

resource "yandex_iam_service_account" "invoker" {
  name        = "${local.name}-invoker"
  description = "Account that the gateway and the triggers invoke functions with."
}

resource "yandex_iam_service_account" "bridge" {
  name        = "${local.name}-bridge"
  description = "Account of the broker's VM; the trigger bridge invokes mqtt_trigger with it."
}

resource "yandex_resourcemanager_folder_iam_member" "runner" {
  for_each = toset(["monitoring.editor", "vpc.user"])

  folder_id = var.folder_id
  role      = each.key
  member    = "serviceAccount:${yandex_iam_service_account.runner.id}"
}

resource "yandex_lockbox_secret_iam_member" "runner" {
  for_each = local.secrets

  secret_id = each.value.secret_id
  role      = "lockbox.payloadViewer"
  member    = "serviceAccount:${yandex_iam_service_account.runner.id}"
}

# A binding is exhaustive: Terraform removes members that were added by hand. `migrate` has no binding;
# the deployer invokes it with a role on the folder.
resource "yandex_function_iam_binding" "invoker" {
  for_each = yandex_function.this

  function_id = each.value.id
  role        = "functions.functionInvoker"
  members     = ["serviceAccount:${each.key == "mqtt_trigger" && !local.iot_core ? yandex_iam_service_account.bridge.id : yandex_iam_service_account.invoker.id}"]
}
