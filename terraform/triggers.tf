locals {
  # Triggers, each with a dead-letter queue for events that its function failed to process.
  triggers = toset(["poll-cabinets", "events"])
}

resource "yandex_function_trigger" "poll_cabinets" {
  name        = "${local.name}-poll-cabinets"
  description = "Every minute: requests state reports from all cabinets, expires bookings, writes metrics."

  timer {
    cron_expression = "* * * * ? *"
  }

  function {
    id                 = yandex_function.this["poll_cabinets"].id
    service_account_id = yandex_iam_service_account.invoker.id
    retry_attempts     = "2"
    retry_interval     = "10"
  }

  dlq {
    queue_id           = yandex_message_queue.dead_letters["poll-cabinets"].arn
    service_account_id = yandex_iam_service_account.dead_letters.id
  }

  depends_on = [
    yandex_function_iam_binding.invoker,
    yandex_resourcemanager_folder_iam_member.dead_letters,
  ]
}

# Without webhooks, a call returns after one query: see docs/deploying.md, Costs.
resource "yandex_function_trigger" "events" {
  name        = "${local.name}-events"
  description = "Every minute: delivers events to webhooks."

  timer {
    cron_expression = "* * * * ? *"
  }

  function {
    id                 = yandex_function.this["events"].id
    service_account_id = yandex_iam_service_account.invoker.id
    retry_attempts     = "1"
    retry_interval     = "10"
  }

  dlq {
    queue_id           = yandex_message_queue.dead_letters["events"].arn
    service_account_id = yandex_iam_service_account.dead_letters.id
  }

  depends_on = [
    yandex_function_iam_binding.invoker,
    yandex_resourcemanager_folder_iam_member.dead_letters,
  ]
}

# --- Dead letters ----------------------------------------------------------------------------------

resource "yandex_message_queue" "dead_letters" {
  for_each = local.triggers

  name                      = "${local.name}-${each.key}-dead-letters"
  message_retention_seconds = 1209600 # 14 days, the maximum
  access_key                = yandex_iam_service_account_static_access_key.queues.access_key
  secret_key                = yandex_iam_service_account_static_access_key.queues.secret_key

  depends_on = [yandex_resourcemanager_folder_iam_member.queues]
}

resource "yandex_iam_service_account" "dead_letters" {
  name        = "${local.name}-dead-letters"
  description = "Account that the triggers write to their dead-letter queues with."
}

resource "yandex_resourcemanager_folder_iam_member" "dead_letters" {
  folder_id = var.folder_id
  role      = "ymq.writer"
  member    = "serviceAccount:${yandex_iam_service_account.dead_letters.id}"
}

# Message Queue requires a static key to create queues, and the provider reads the key from the
# configuration. Therefore this secret is in the state.
resource "yandex_iam_service_account" "queues" {
  name        = "${local.name}-queues"
  description = "Account that Terraform creates the queues with."
}

resource "yandex_resourcemanager_folder_iam_member" "queues" {
  folder_id   = var.folder_id
  role        = "ymq.admin"
  member      = "serviceAccount:${yandex_iam_service_account.queues.id}"
  sleep_after = 15 # seconds, until Message Queue knows the role
}

resource "yandex_iam_service_account_static_access_key" "queues" {
  service_account_id = yandex_iam_service_account.queues.id
  description        = "For Terraform's yandex_message_queue."
}
