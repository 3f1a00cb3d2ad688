# The archive of the ledger, if `archive` is true: a private bucket, which the function migrate has as a
# directory. Deleting it would lose what the database no longer has, so Terraform refuses to while it has files.

resource "yandex_storage_bucket" "archive" {
  count = var.archive ? 1 : 0

  bucket    = "${local.name}-archive-${var.folder_id}" # names of buckets are unique in the whole cloud
  folder_id = var.folder_id

  anonymous_access_flags {
    read        = false
    list        = false
    config_read = false
  }

  versioning {
    enabled = true # an overwritten or deleted file can be brought back
  }
}

resource "yandex_storage_bucket_grant" "archive" {
  count = var.archive ? 1 : 0

  bucket = yandex_storage_bucket.archive[0].bucket

  grant {
    id          = yandex_iam_service_account.function["migrate"].id
    type        = "CanonicalUser"
    permissions = ["READ", "WRITE"]
  }
}

locals {
  archive_environment = var.archive ? { ARCHIVE_DIRECTORY = "/function/storage/archive" } : {}
}
