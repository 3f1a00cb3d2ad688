locals {
  # The committed OpenAPI document without its servers, with the ids of the functions and of the invoking account filled in.
  document = {
    for key, value in jsondecode(templatefile("${path.module}/../docs/openapi.json", {
      function_ids       = { for name, function in yandex_function.this : name => function.id }
      service_account_id = yandex_iam_service_account.invoker.id
    })) : key => value if key != "servers"
  }

  cors = var.cors_origin == "" ? {} : {
    x-yc-apigateway = merge(try(local.document["x-yc-apigateway"], {}), {
      cors = {
        origin         = var.cors_origin
        methods        = "GET,HEAD,POST,PATCH,DELETE"
        allowedHeaders = "authorization,content-type,idempotency-key,if-none-match,prefer"
        exposedHeaders = "x-request-id,idempotency-replayed,location,preference-applied,etag"
        credentials    = false
        maxAge         = 3600
      }
    })
  }
}

resource "yandex_api_gateway" "main" {
  name              = local.name
  spec              = jsonencode(merge(local.document, local.cors, { paths = merge(local.document.paths, local.console_routes) }))
  execution_timeout = tostring(2 * var.unlock_wait_seconds + 45) # longer than any function behind it

  log_options {
    log_group_id = yandex_logging_group.main.id
  }

  depends_on = [yandex_function_iam_binding.invoker, yandex_storage_bucket_grant.console]
}
