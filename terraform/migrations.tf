# The database's schema and its users' rights. The function migrate is deployed and invoked before all other functions, which
# depend on it. A failed migration fails the apply with its message, and the other functions are not
# changed.

resource "yandex_function" "migrate" {
  name               = local.definitions.migrate.name
  runtime            = "python312"
  entrypoint         = "main.handler"
  memory             = var.function_memory_mb
  execution_timeout  = local.definitions.migrate.timeout
  service_account_id = yandex_iam_service_account.function["migrate"].id
  user_hash          = try(filebase64sha256(local.definitions.migrate.archive), "")
  environment        = merge(local.definitions.migrate.environment, local.archive_environment)

  content {
    zip_filename = local.definitions.migrate.archive
  }

  secrets {
    id                   = local.secrets.database_password.secret_id
    version_id           = local.secrets.database_password.version_id
    key                  = local.secrets.database_password.key
    environment_variable = local.secrets.database_password.variable
  }

  connectivity {
    network_id = yandex_vpc_network.main.id
  }

  log_options {
    log_group_id = yandex_logging_group.main.id
  }

  dynamic "mounts" {
    for_each = yandex_storage_bucket.archive
    content {
      name = "archive" # the directory /function/storage/archive
      mode = "rw"
      object_storage {
        bucket = mounts.value.bucket
      }
    }
  }

  depends_on = [
    yandex_storage_bucket_grant.archive,
    yandex_lockbox_secret_iam_member.function,
    yandex_resourcemanager_folder_iam_member.function,
    yandex_vpc_subnet.main,
  ]

  lifecycle {
    precondition {
      condition     = fileexists(local.definitions.migrate.archive)
      error_message = "${local.definitions.migrate.archive} is missing: run `make package`."
    }
    postcondition {
      condition     = self.version != null && self.version != "" && lookup(self.environment, "PACKAGE", "") == local.definitions.migrate.environment["PACKAGE"]
      error_message = "The platform refused the new version of migrate, for the reason in the warning; what was deployed before still runs. Remove the reason and apply again."
    }
  }
}

resource "yandex_function_scaling_policy" "migrate" {
  function_id = yandex_function.migrate.id

  policy {
    tag                  = "$latest"
    zone_instances_limit = local.limits.migrate
    zone_requests_limit  = local.limits.migrate
  }
}

resource "terraform_data" "migrations" {
  count = var.apply_migrations ? 1 : 0

  triggers_replace = {
    database = yandex_mdb_postgresql_database.main.id
    # It stores EVENT_KEEP_DAYS.
    settings = { for name, value in yandex_function.migrate.environment : name => value if name != "PACKAGE" }
    # It gives the users their rights, which the platform may take from a user that Terraform changes.
    rights = filesha256("${path.module}/../shared/repo/grants.py")
    users  = { for name, user in yandex_mdb_postgresql_user.limited : name => [user.conn_limit, user.password_wo_version] }
    migrations = sha256(join("", [
      for file in sort(fileset("${path.module}/../functions/migrate/migrations", "*.sql")) :
      "${file}:${filesha256("${path.module}/../functions/migrate/migrations/${file}")};"
    ]))
  }

  provisioner "local-exec" {
    command = "python3 ${path.module}/migrate.py ${yandex_function.migrate.id}"
  }
}
