resource "yandex_vpc_network" "main" {
  name = local.name
}

resource "yandex_vpc_subnet" "main" {
  for_each = var.zones

  name           = "${local.name}-${each.key}"
  network_id     = yandex_vpc_network.main.id
  zone           = each.key
  v4_cidr_blocks = [each.value]
}

resource "yandex_vpc_security_group" "database" {
  name        = "${local.name}-database"
  description = "PostgreSQL: reachable by functions only."
  network_id  = yandex_vpc_network.main.id

  ingress {
    description    = "Functions, through the connection pooler"
    protocol       = "TCP"
    port           = 6432
    v4_cidr_blocks = [local.functions_range]
  }

  dynamic "ingress" {
    for_each = length(var.database_reader_from) > 0 ? [var.database_reader_from] : []
    content {
      description    = "Readers, through the connection pooler"
      protocol       = "TCP"
      port           = 6432
      v4_cidr_blocks = ingress.value
    }
  }

  ingress {
    description       = "Replication between the hosts"
    protocol          = "ANY"
    predefined_target = "self_security_group"
  }

  egress {
    description       = "Replication between the hosts"
    protocol          = "ANY"
    predefined_target = "self_security_group"
  }
}

resource "yandex_vpc_security_group" "broker" {
  name        = "${local.name}-broker"
  description = "The broker's VM: MQTT over TLS from anywhere, SSH from the ranges in ssh_from."
  network_id  = yandex_vpc_network.main.id

  dynamic "ingress" { # bridges of a broker elsewhere accept no connections
    for_each = local.brokers == 0 ? [] : [["0.0.0.0/0"]]
    content {
      description    = "MQTT over TLS: 8883 for cabinets' passwords, 8884 for their certificates, 8885 for functions"
      protocol       = "TCP"
      from_port      = 8883
      to_port        = 8885
      v4_cidr_blocks = ingress.value
    }
  }

  dynamic "ingress" {
    for_each = length(var.ssh_from) > 0 ? [var.ssh_from] : []
    content {
      description    = "SSH"
      protocol       = "TCP"
      port           = 22
      v4_cidr_blocks = ingress.value
    }
  }

  egress {
    description    = "Packages, function URLs, the cloud's services"
    protocol       = "ANY"
    v4_cidr_blocks = ["0.0.0.0/0"]
  }
}
