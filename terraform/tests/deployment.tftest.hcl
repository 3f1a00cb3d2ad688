# Relations between resources, checked after an apply against a stand-in for the provider.

variables {
  cloud_id            = "b1gcloud"
  folder_id           = "b1gfolder"
  mqtt_backend        = "mosquitto"
  apply_migrations    = false
  publish_console     = false
  grant_log_role      = false
  deletion_protection = false
}

run "deletion_protection" {
  command = plan
  variables {
    deletion_protection = true
  }
  assert {
    condition     = yandex_mdb_postgresql_cluster_v2.main.deletion_protection && yandex_mdb_postgresql_database.main.deletion_protection == "true"
    error_message = "deletion_protection does not reach the cluster and the database"
  }
}

run "defaults" {
  command = apply

  assert {
    condition     = startswith(output.api_url, "https://")
    error_message = "api_url is not a URL: ${output.api_url}"
  }
  assert {
    condition     = endswith(output.mqtt_broker, ":8883")
    error_message = "mqtt_broker is not on the TLS port 8883: ${output.mqtt_broker}"
  }
  assert {
    condition     = yandex_function.this["unlock"].environment["MQTT_PORT"] == "8885" && strcontains(file("${path.module}/broker/mosquitto.conf"), "\nlistener 8885\n")
    error_message = "functions do not use the listener on which client ids are free"
  }
  assert {
    condition     = jsondecode(yandex_compute_instance.broker[0].metadata.broker).logs.log_group_id == yandex_logging_group.broker[0].id && yandex_logging_group.broker[0].id != yandex_logging_group.main.id
    error_message = "the machine does not send its logs to a group of its own"
  }
  assert {
    condition     = alltrue([for port in [8883, 8884, 8885] : anytrue([for rule in yandex_vpc_security_group.broker.ingress : port >= coalesce(rule.from_port, 0) && port <= coalesce(rule.to_port, 0)])])
    error_message = "the security group closes one of Mosquitto's ports"
  }
  assert {
    condition     = yandex_function.this["unlock"].environment["MQTT_VERSION"] == "5"
    error_message = "commands do not expire in the broker"
  }
  assert {
    condition     = length(output.function_ids) == length(fileset("${path.module}/../functions", "*/main.py"))
    error_message = "the deployed functions are not exactly the folders of functions/"
  }
  assert {
    condition     = { for name, function in merge(yandex_function.this, { migrate = yandex_function.migrate }) : name => function.environment["PACKAGE"] } == { for name in keys(local.functions) : name => substr(filesha256("${path.module}/../dist/${name}.zip"), 0, 12) }
    error_message = "a function's environment does not show its package, so a version that the platform refused would go unnoticed"
  }
  assert {
    condition     = !strcontains(yandex_api_gateway.main.spec, "$${")
    error_message = "the OpenAPI document still contains a placeholder"
  }
  assert {
    condition     = toset([for rule in yandex_vpc_security_group.database.ingress : join(",", rule.v4_cidr_blocks) if rule.predefined_target == null || rule.predefined_target == ""]) == toset(["198.19.0.0/16"])
    error_message = "the database accepts connections from other ranges than the functions'"
  }
  assert {
    condition     = alltrue([for rule in yandex_vpc_security_group.broker.ingress : rule.port != 22])
    error_message = "SSH is open although ssh_from is empty"
  }
  assert {
    condition     = length(yandex_function_iam_binding.invoker["mqtt_trigger"].members) == 1 && yandex_function_iam_binding.invoker["mqtt_trigger"].members != yandex_function_iam_binding.invoker["unlock"].members
    error_message = "mqtt_trigger may be invoked by others than the bridge"
  }
  assert {
    condition     = length(yandex_function.this["authorizer"].connectivity) == 0 && [for secret in yandex_function.this["authorizer"].secrets : secret.environment_variable] == ["API_KEYS"]
    error_message = "the authorizer has more than API_KEYS, or is in the network"
  }
  assert {
    condition     = [for name, function in yandex_function.this : name if contains([for secret in function.secrets : secret.environment_variable], "WEBHOOKS_SECRET")] == ["events"]
    error_message = "the webhooks' master secret reaches other functions than events"
  }
  assert {
    condition     = length(distinct([for function in concat(values(yandex_function.this), [yandex_function.migrate]) : function.service_account_id])) == length(output.function_ids)
    error_message = "functions share a service account"
  }
  assert {
    condition     = [for name, member in yandex_lockbox_secret_iam_member.function : name if member.secret_id == yandex_lockbox_secret.this["database_password"].id] == ["migrate/database_password"]
    error_message = "other functions than migrate can read the password of the database's owner"
  }
  assert {
    condition     = yandex_mdb_postgresql_database.main.owner == "service" && sum([for user in concat(values(yandex_mdb_postgresql_user.limited), [yandex_mdb_postgresql_user.service]) : user.conn_limit]) == 110
    error_message = "the owner is renamed, which would replace the database, or the users reserve more connections than planned"
  }
  assert {
    condition     = tonumber(yandex_api_gateway.main.execution_timeout) > tonumber(yandex_function.this["unlock"].execution_timeout) && tonumber(yandex_function.this["unlock"].execution_timeout) > 2 * var.unlock_wait_seconds
    error_message = "the gateway's timeout must exceed the function's, and that must exceed twice the wait"
  }
  assert {
    condition     = sum([for name in ["mqtt_trigger", "poll_cabinets", "migrate", "unlock"] : local.limits[name]]) < var.zone_concurrency
    error_message = "triggers and waiting unlocks leave no calls for the fast functions"
  }
  assert {
    condition     = toset(keys(yandex_function_scaling_policy.this)) == setsubtract(keys(local.functions), ["migrate"])
    error_message = "a function can use up the whole quota of the zone"
  }
  assert {
    condition     = jsondecode(yandex_api_gateway.main.spec).components["x-yc-apigateway-rate-limits"] == { health = { allRequests = { rps = 10 } }, lists = { allRequests = { rps = 100 } }, reports = { allRequests = { rps = 30 } } }
    error_message = "the gateway's ceilings are not the defaults"
  }
  assert {
    condition     = jsondecode(yandex_api_gateway.main.spec).paths["/v1/stats"].get["x-yc-apigateway-rate-limit"]["$ref"] == "#/components/x-yc-apigateway-rate-limits/reports"
    error_message = "GET /v1/stats has no ceiling"
  }
  assert {
    condition     = !strcontains(yandex_api_gateway.main.spec, "smartWebSecurity")
    error_message = "Smart Web Security is used although no profile is given"
  }
  assert {
    condition     = !strcontains(yandex_api_gateway.main.spec, "x-yc-apigateway\":{\"cors")
    error_message = "CORS is configured although cors_origin is empty"
  }
}

run "console" {
  command = apply
  variables {
    console_tiles_url = "https://tiles.example/{z}/{x}/{y}.png"
  }
  assert {
    condition     = [for route in ["/", "/console/{file+}"] : jsondecode(yandex_api_gateway.main.spec).paths[route].get["x-yc-apigateway-integration"].object] == ["index.html", "{file}"]
    error_message = "the gateway does not serve the console's files"
  }
  assert {
    condition     = one(yandex_storage_bucket_grant.console.grant).id == yandex_iam_service_account.console.id && toset(one(yandex_storage_bucket_grant.console.grant).permissions) == toset(["READ"])
    error_message = "the gateway's account must be able to read the console's bucket, and nothing more"
  }
  assert {
    condition     = one(yandex_storage_bucket.console.anonymous_access_flags) == { config_read = false, list = false, read = false }
    error_message = "the console's bucket is public"
  }
}

run "logins_in_several_secrets" {
  command = apply
  variables {
    cabinet_login_secrets = 3
  }
  assert {
    condition     = [for secret in yandex_lockbox_secret.cabinets : secret.name] == ["scooter-accumulator-cabinets", "scooter-accumulator-cabinets-2", "scooter-accumulator-cabinets-3"]
    error_message = "the secrets are not named as expected; the first must keep its name: ${join(", ", yandex_lockbox_secret.cabinets[*].name)}"
  }
  assert {
    condition     = output.cabinets_secret_ids == yandex_lockbox_secret.cabinets[*].id && jsondecode(yandex_compute_instance.broker[0].metadata.broker).cabinets[*].secret_id == output.cabinets_secret_ids
    error_message = "the broker's machine does not read the secrets that the logins are stored in"
  }
  assert {
    condition     = length(setsubtract(output.cabinets_secret_ids, [for member in yandex_lockbox_secret_iam_member.broker : member.secret_id])) == 0 && [for member in yandex_lockbox_secret_iam_member.broker_versions : member.secret_id] == output.cabinets_secret_ids
    error_message = "the broker's machine may not read each of the secrets"
  }
}

run "an_upgraded_deployment_deletes_the_common_account" {
  command = apply
  variables {
    runner_account       = false
    database_reader_from = ["10.20.0.0/24"]
  }
  assert {
    condition     = length(yandex_iam_service_account.runner) + length(yandex_lockbox_secret_iam_member.runner) + length(yandex_resourcemanager_folder_iam_member.runner) == 0
    error_message = "the functions' common account is kept"
  }
  assert {
    condition     = toset(flatten([for rule in yandex_vpc_security_group.database.ingress : rule.v4_cidr_blocks if rule.port == 6432])) == toset(["198.19.0.0/16", "10.20.0.0/24"])
    error_message = "the database is not open to exactly the functions and the readers"
  }
}

run "the_functions_know_all_hosts_of_the_database" {
  command = apply
  variables {
    read_replica = true
  }
  assert {
    condition     = alltrue([for host in values(yandex_mdb_postgresql_cluster_v2.main.hosts) : strcontains(yandex_function.this["booking"].environment["DATABASE_URL"], "${host.fqdn}:6432")])
    error_message = "the functions do not know each host of the database: ${yandex_function.this["booking"].environment["DATABASE_URL"]}"
  }
  assert {
    condition     = endswith(yandex_function.this["booking"].environment["DATABASE_URL"], "&target_session_attrs=read-write") && endswith(yandex_function.migrate.environment["DATABASE_URL"], "&target_session_attrs=read-write")
    error_message = "the functions may write to a replica"
  }
  assert {
    condition     = endswith(yandex_function.this["booking"].environment["DATABASE_REPLICA_URL"], "&target_session_attrs=prefer-standby") && !contains(keys(yandex_function.migrate.environment), "DATABASE_REPLICA_URL")
    error_message = "the replica is not read, or migrate knows it"
  }
}

run "ssh_is_open_to_ssh_from_only" {
  command = apply
  variables {
    ssh_from = ["198.51.100.7/32"]
  }
  assert {
    condition     = flatten([for rule in yandex_vpc_security_group.broker.ingress : rule.v4_cidr_blocks if rule.port == 22]) == ["198.51.100.7/32"]
    error_message = "SSH is not open to exactly the ranges in ssh_from"
  }
}

run "unlocks_keep_their_share" {
  command = plan
  variables {
    zone_concurrency = 50
  }
  assert {
    condition     = output.calls_kept_for_unlocks == 20 && local.limits["unlock"] == 20
    error_message = "with 50 calls in a zone, the other functions can take some of the 20 of unlock"
  }
}

run "limits_can_be_changed" {
  command = apply
  variables {
    gateway_limits      = { lists = 0, reports = 5 }
    security_profile_id = "fevprofile"
    cors_origin         = "https://console.example"
  }
  assert {
    condition     = jsondecode(yandex_api_gateway.main.spec).components["x-yc-apigateway-rate-limits"] == { health = { allRequests = { rps = 10 } }, reports = { allRequests = { rps = 5 } } }
    error_message = "gateway_limits does not reach the gateway"
  }
  assert {
    condition     = !strcontains(yandex_api_gateway.main.spec, "x-yc-apigateway-rate-limits/lists") && strcontains(yandex_api_gateway.main.spec, "x-yc-apigateway-rate-limits/reports")
    error_message = "a limit of 0 must remove the ceiling, and only that one"
  }
  assert {
    condition     = jsondecode(yandex_api_gateway.main.spec)["x-yc-apigateway"].smartWebSecurity.securityProfileId == "fevprofile" && jsondecode(yandex_api_gateway.main.spec)["x-yc-apigateway"].cors.origin == "https://console.example"
    error_message = "the gateway does not use the security profile, or forgot CORS for it"
  }
}

run "a_longer_wait_lengthens_the_timeouts" {
  command = apply
  variables {
    unlock_wait_seconds = 60
    zone_concurrency    = 100
    cors_origin         = "https://console.example"
  }
  assert {
    condition     = yandex_function.this["unlock"].environment["UNLOCK_WAIT_SECONDS"] == "60" && tonumber(yandex_function.this["unlock"].execution_timeout) > 120
    error_message = "the function's timeout is not longer than twice the wait"
  }
  assert {
    condition     = one(yandex_function_scaling_policy.this["unlock"].policy).zone_requests_limit == 40
    error_message = "the limit of unlock is not 40 % of the quota"
  }
  assert {
    condition     = jsondecode(yandex_api_gateway.main.spec)["x-yc-apigateway"].cors.origin == "https://console.example"
    error_message = "cors_origin is not in the gateway's CORS configuration"
  }
}
