# Recorded in storage.jsonl.gz: applied, planned, applied and planned with number = 2, destroyed.

terraform {
  required_providers {
    yandex = {
      source  = "yandex-cloud/yandex"
      version = "0.222.0"
    }
  }
}

variable "folder_id" {}

variable "number" {
  default = 1
}

resource "yandex_iam_service_account" "owner" {
  name = "owner"
}

resource "yandex_resourcemanager_folder_iam_member" "queues" {
  folder_id = var.folder_id
  role      = "ymq.admin"
  member    = "serviceAccount:${yandex_iam_service_account.owner.id}"
}

resource "yandex_iam_service_account_static_access_key" "queues" {
  service_account_id = yandex_iam_service_account.owner.id
}

resource "yandex_message_queue" "dead_letters" {
  name                      = "dead-letters"
  message_retention_seconds = 1209600
  delay_seconds             = var.number
  access_key                = yandex_iam_service_account_static_access_key.queues.access_key
  secret_key                = yandex_iam_service_account_static_access_key.queues.secret_key

  depends_on = [yandex_resourcemanager_folder_iam_member.queues]
}

resource "yandex_storage_bucket" "files" {
  bucket        = "files-${var.folder_id}"
  folder_id     = var.folder_id
  force_destroy = true

  anonymous_access_flags {
    read        = false
    list        = false
    config_read = false
  }

  versioning {
    enabled = true
  }
}

resource "yandex_storage_bucket_grant" "files" {
  bucket = yandex_storage_bucket.files.bucket

  grant {
    id          = yandex_iam_service_account.owner.id
    type        = "CanonicalUser"
    permissions = ["READ", "WRITE"]
  }
}

resource "yandex_storage_object" "page" {
  bucket  = yandex_storage_bucket.files.bucket
  key     = "pages/index.html"
  content = "hidden value" # as the recorder writes it
  tags    = { number = tostring(var.number) }
}
