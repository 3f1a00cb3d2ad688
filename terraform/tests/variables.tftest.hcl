# What a wrong variable is answered with, and what the outputs say. Only plans: nothing is made.

variables {
  cloud_id         = "b1gcloud"
  folder_id        = "b1gfolder"
  apply_migrations = false
  mqtt_backend     = "mosquitto"
}

run "unknown_backend_is_refused" {
  command = plan
  variables {
    mqtt_backend = "rabbitmq"
  }
  expect_failures = [var.mqtt_backend]
}

run "name_that_resources_cannot_have_is_refused" {
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

run "database_zone_without_a_subnet_is_refused" {
  command = plan
  variables {
    database_zones = ["ru-central1-x"]
  }
  expect_failures = [var.database_zones]
}

run "memory_that_the_platform_does_not_sell_is_refused" {
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

run "any_origin_is_refused" {
  command = plan
  variables {
    cors_origin = "*"
  }
  expect_failures = [var.cors_origin]
}
