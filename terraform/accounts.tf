# Who may do what. Every role is given on the narrowest thing that takes it.

resource "yandex_iam_service_account" "runner" {
  name        = "${local.name}-runner"
  description = "The functions run as it."
}

resource "yandex_iam_service_account" "invoker" {
  name        = "${local.name}-invoker"
  description = "The gateway and the triggers invoke functions as it."
}

resource "yandex_iam_service_account" "bridge" {
  name        = "${local.name}-bridge"
  description = "The trigger bridge on the broker's VM invokes mqtt_trigger as it."
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

# Exactly these may invoke: a member given by hand is removed. `migrate` has none; who deploys
# invokes it by a role on the folder.
resource "yandex_function_iam_binding" "invoker" {
  for_each = yandex_function.this

  function_id = each.value.id
  role        = "functions.functionInvoker"
  members     = ["serviceAccount:${each.key == "mqtt_trigger" && !local.iot_core ? yandex_iam_service_account.bridge.id : yandex_iam_service_account.invoker.id}"]
}
