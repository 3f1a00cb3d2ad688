locals {
  # The committed document; only the functions' ids and who invokes them are filled in.
  document = jsondecode(templatefile("${path.module}/../docs/openapi.json", {
    function_ids       = { for name, function in yandex_function.this : name => function.id }
    service_account_id = yandex_iam_service_account.invoker.id
  }))

  cors = var.cors_origin == "" ? {} : {
    x-yc-apigateway = merge(try(local.document["x-yc-apigateway"], {}), {
      cors = {
        origin         = var.cors_origin
        methods        = "GET,POST,PATCH,DELETE"
        allowedHeaders = "authorization,content-type,idempotency-key"
        exposedHeaders = "x-request-id,idempotency-replayed"
        credentials    = false
        maxAge         = 3600
      }
    })
  }
}

resource "yandex_api_gateway" "main" {
  name              = local.name
  spec              = jsonencode(merge(local.document, local.cors))
  execution_timeout = tostring(2 * var.unlock_wait_seconds + 45) # longer than any function behind it

  log_options {
    log_group_id = yandex_logging_group.main.id
  }

  depends_on = [yandex_function_iam_binding.invoker]
}
