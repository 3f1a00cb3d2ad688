# Validation of variables. Only plans; nothing is created.

variables {
  cloud_id         = "b1gcloud"
  folder_id        = "b1gfolder"
  apply_migrations = false
  publish_console  = false
  grant_log_role   = false
  mqtt_backend     = "mosquitto"
}

run "unknown_backend_is_refused" {
  command = plan
  variables {
    mqtt_backend = "rabbitmq"
  }
  expect_failures = [var.mqtt_backend]
}

run "iot_core_is_refused" {
  command = plan
  variables {
    mqtt_backend = "iot_core"
  }
  expect_failures = [var.mqtt_backend]
}

run "unknown_mqtt_version_is_refused" {
  command = plan
  variables {
    mqtt_version = "4"
  }
  expect_failures = [var.mqtt_version]
}

run "invalid_name_is_refused" {
  command = plan
  variables {
    name = "Scooter_1"
  }
  expect_failures = [var.name]
}

run "ssh_from_the_whole_internet_is_refused" {
  command = plan
  variables {
    ssh_from = ["0.0.0.0/0"]
  }
  expect_failures = [var.ssh_from]
}

run "readers_from_the_whole_internet_are_refused" {
  command = plan
  variables {
    database_reader_from = ["0.0.0.0/0"]
  }
  expect_failures = [var.database_reader_from]
}

run "database_zone_without_a_subnet_is_refused" {
  command = plan
  variables {
    database_zones = ["ru-central1-x"]
  }
  expect_failures = [var.database_zones]
}

run "memory_that_is_not_a_multiple_of_128_is_refused" {
  command = plan
  variables {
    function_memory_mb = 200
  }
  expect_failures = [var.function_memory_mb]
}

run "unknown_setting_is_refused" {
  command = plan
  variables {
    settings = { BOOKING_SECOND = "1800" }
  }
  expect_failures = [var.settings]
}

run "wildcard_origin_is_refused" {
  command = plan
  variables {
    cors_origin = "*"
  }
  expect_failures = [var.cors_origin]
}

run "no_secret_for_logins_is_refused" {
  command = plan
  variables {
    cabinet_login_secrets = 0
  }
  expect_failures = [var.cabinet_login_secrets]
}

run "tiles_without_https_are_refused" {
  command = plan
  variables {
    console_tiles_url = "http://tiles.example/{z}/{x}/{y}.png"
  }
  expect_failures = [var.console_tiles_url]
}

run "tiles_without_a_coordinate_are_refused" {
  command = plan
  variables {
    console_tiles_url = "https://tiles.example/{z}/{x}.png"
  }
  expect_failures = [var.console_tiles_url]
}

run "tiles_of_several_hosts_are_refused" {
  command = plan
  variables {
    console_tiles_url = "https://{s}.tiles.example/{z}/{x}/{y}.png"
  }
  expect_failures = [var.console_tiles_url]
}

run "a_negative_limit_is_refused" {
  command = plan
  variables {
    gateway_limits = { lists = -1 }
  }
  expect_failures = [var.gateway_limits]
}

run "something_else_than_a_profile_is_refused" {
  command = plan
  variables {
    security_profile_id = "https://console.example/profile"
  }
  expect_failures = [var.security_profile_id]
}

run "a_replica_needs_a_second_host" {
  command = plan
  variables {
    read_replica   = true
    database_zones = ["ru-central1-a"]
  }
  expect_failures = [var.read_replica]
}
