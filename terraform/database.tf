resource "yandex_mdb_postgresql_cluster_v2" "main" {
  name                = local.name
  environment         = "PRODUCTION"
  network_id          = yandex_vpc_network.main.id
  security_group_ids  = [yandex_vpc_security_group.database.id]
  deletion_protection = var.deletion_protection

  hosts = {
    for zone in var.database_zones : zone => {
      zone             = zone
      subnet_id        = yandex_vpc_subnet.main[zone].id
      assign_public_ip = false
    }
  }

  config {
    version                   = var.database_version
    backup_retain_period_days = var.backup_days
    backup_window_start       = { hours = 1, minutes = 0 } # UTC; night in Moscow

    # Each warm function instance keeps a connection open, but occupies a server connection only during
    # transactions.
    pooler_config = { pooling_mode = "TRANSACTION" }

    resources {
      resource_preset_id = var.database_preset
      disk_type_id       = "network-ssd"
      disk_size          = var.database_disk_gb
    }
  }

  maintenance_window = { type = "WEEKLY", day = "TUE", hour = 1 }
}

# The owner, for the function migrate. In earlier releases it was the only user. It keeps its name,
# because the platform can neither rename a user nor give a database another owner.
resource "yandex_mdb_postgresql_user" "service" {
  cluster_id          = yandex_mdb_postgresql_cluster_v2.main.id
  name                = "service"
  conn_limit          = 50
  password_wo         = local.secret_files.database_password.text
  password_wo_version = local.password_versions.database_password
}

resource "yandex_mdb_postgresql_database" "main" {
  cluster_id          = yandex_mdb_postgresql_cluster_v2.main.id
  name                = "accumulators"
  owner               = yandex_mdb_postgresql_user.service.name
  deletion_protection = tostring(var.deletion_protection)
}

# Users who own nothing. The function migrate gives them their rights (shared/repo/grants.py).
# All conn_limits together must stay below the cluster's max_connections: 200 for each vCPU.
resource "yandex_mdb_postgresql_user" "limited" {
  for_each = {
    functions = max(50, 3 * var.zone_concurrency + 10)
    reader    = 10
  }

  cluster_id          = yandex_mdb_postgresql_cluster_v2.main.id
  name                = each.key
  conn_limit          = each.value
  password_wo         = local.secret_files["database_${each.key}_password"].text
  password_wo_version = local.password_versions["database_${each.key}_password"]

  permission {
    database_name = yandex_mdb_postgresql_database.main.name
  }
}
