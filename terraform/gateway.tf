locals {
  # The committed OpenAPI document without its servers, with the ids of the functions and of the invoking account filled in.
  document = {
    for key, value in jsondecode(templatefile("${path.module}/../docs/openapi.json", {
      function_ids       = { for name, function in yandex_function.this : name => function.id }
      service_account_id = yandex_iam_service_account.invoker.id
    })) : key => value if key != "servers"
  }

  # The document's rate limits, with the numbers of gateway_limits; without those that are 0.
  rate_limits = { for name, rps in var.gateway_limits : name => { allRequests = { rps = rps } } if rps > 0 }
  components  = { components = merge(local.document.components, { x-yc-apigateway-rate-limits = local.rate_limits }) }
  paths = {
    for path, operations in local.document.paths : path => {
      for method, operation in operations : method => {
        for key, value in operation : key => value
        if key != "x-yc-apigateway-rate-limit" || contains(keys(local.rate_limits), try(basename(value["$ref"]), ""))
      }
    }
  }

  web_security = var.security_profile_id == "" ? {} : {
    smartWebSecurity = { securityProfileId = var.security_profile_id }
  }

  cors = var.cors_origin == "" ? {} : {
    cors = {
      origin         = var.cors_origin
      methods        = "GET,HEAD,POST,PATCH,DELETE"
      allowedHeaders = "authorization,content-type,idempotency-key,if-none-match,prefer"
      exposedHeaders = "x-request-id,idempotency-replayed,location,preference-applied,etag,retry-after"
      credentials    = false
      maxAge         = 3600
    }
  }

  spec = merge(local.document, local.components, {
    x-yc-apigateway = merge(local.cors, local.web_security)
    paths           = merge(local.paths, local.console_routes)
  })
}

resource "yandex_api_gateway" "main" {
  name              = local.name
  spec              = jsonencode(local.spec)
  execution_timeout = tostring(2 * var.unlock_wait_seconds + 45) # longer than any function behind it

  log_options {
    log_group_id = yandex_logging_group.main.id
  }

  depends_on = [yandex_function_iam_binding.invoker, yandex_storage_bucket_grant.console]
}
