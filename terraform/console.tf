# The operators' console: static files in a private bucket, which only the gateway reads. Browsers get
# them from the API's own origin: index.html at /, everything else at /console/<version>/…

locals {
  console_folder = "${path.module}/../dist/console"

  # Added to the gateway's document; not in docs/openapi.json, because they are no part of the API.
  console_routes = {
    "/" = { get = merge(local.console_operation, {
      x-yc-apigateway-integration = merge(local.console_integration, { object = "index.html" })
    }) }
    "/console/{file+}" = { get = merge(local.console_operation, {
      parameters                  = [{ name = "file", in = "path", required = true, schema = { type = "string" } }]
      x-yc-apigateway-integration = merge(local.console_integration, { object = "{file}" })
    }) }
  }

  console_operation = {
    security  = [] # the files are public; the API's keys protect the data
    responses = { "200" = { description = "A file of the console." } }
  }

  console_integration = {
    type               = "object_storage"
    bucket             = yandex_storage_bucket.console.bucket
    service_account_id = yandex_iam_service_account.console.id
  }
}

resource "yandex_iam_service_account" "console" {
  name        = "${local.name}-console"
  description = "Account that the gateway reads the console's bucket with."
}

resource "yandex_storage_bucket" "console" {
  bucket        = "${local.name}-console-${var.folder_id}" # names of buckets are unique in the whole cloud
  folder_id     = var.folder_id
  force_destroy = true # it can be built and published again

  anonymous_access_flags {
    read        = false
    list        = false
    config_read = false
  }
}

resource "yandex_storage_bucket_grant" "console" {
  bucket = yandex_storage_bucket.console.bucket

  grant {
    id          = yandex_iam_service_account.console.id
    type        = "CanonicalUser"
    permissions = ["READ"]
  }
}

# The provider's resource for objects cannot set Cache-Control, hence the program.
resource "terraform_data" "console" {
  count = var.publish_console ? 1 : 0

  triggers_replace = {
    bucket    = yandex_storage_bucket.console.id
    tiles_url = var.console_tiles_url
    files = sha256(join("", [
      for file in sort(fileset(local.console_folder, "**")) : "${file}:${filesha256("${local.console_folder}/${file}")};"
    ]))
  }

  provisioner "local-exec" {
    working_dir = "${path.module}/.."
    command     = "python3 -m terraform.publish_console \"$BUCKET\" --tiles-url \"$TILES_URL\""
    environment = {
      BUCKET    = yandex_storage_bucket.console.bucket
      TILES_URL = var.console_tiles_url
    }
  }

  lifecycle {
    precondition {
      condition     = fileexists("${local.console_folder}/index.html")
      error_message = "${local.console_folder} is missing: run `make package`."
    }
  }
}
