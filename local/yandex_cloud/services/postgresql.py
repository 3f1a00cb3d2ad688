"""Managed PostgreSQL: clusters and their hosts. Users and databases are in postgresql_users.py."""

import secrets
from typing import Any

from google.protobuf.empty_pb2 import Empty
from yandex.cloud.mdb.postgresql.v1.cluster_pb2 import Cluster, Host, Service
from yandex.cloud.mdb.postgresql.v1.cluster_service_pb2 import ListClusterHostsResponse
from yandex.cloud.mdb.postgresql.v1.database_pb2 import Database
from yandex.cloud.mdb.postgresql.v1.user_pb2 import User
from yandex.cloud.vpc.v1.network_pb2 import Network
from yandex.cloud.vpc.v1.security_group_pb2 import SecurityGroup
from yandex.cloud.vpc.v1.subnet_pb2 import Subnet

from local.yandex_cloud import messages
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import Refused, in_use, invalid, not_found
from local.yandex_cloud.service import Collection

VERSIONS = ("13", "14", "15", "16", "17", "18")
_DISKS = (
    "network-hdd",
    "network-ssd",
    "network-ssd-io-m3",
    "network-ssd-nonreplicated",
    "local-ssd",
)
_SHORT = {"ru-central1-a": "rc1a", "ru-central1-b": "rc1b", "ru-central1-d": "rc1d"}
PRESETS = {
    f"{family}-c{cores}-m{memory}"
    for family in ("s2", "s3")
    for cores, memory in ((2, 8), (4, 16), (8, 32), (12, 48), (16, 64), (24, 96), (32, 128))
} | {
    "b2.medium",
    "b3-c1-m4",
    "b3-c2-m4",
    "c3-c2-m4",
    "c3-c4-m8",
    "c3-c8-m16",
    "m3-c2-m16",
    "m3-c4-m32",
}
"""Classes of hosts, as far as this project may use them."""


class Clusters(AccessBindings, Collection):
    """Clusters and hosts."""

    proto, name = "yandex.cloud.mdb.postgresql.v1.cluster_service", "ClusterService"
    resource, noun, prefix = Cluster, "Cluster", "c9q"
    quota = ("mdb.clusters.count", 16)
    slow = frozenset({"Create", "Update", "Delete"})

    def check(self, resource: Any) -> None:
        """Check the version, the class of the hosts, the disk and the network."""
        config = resource.config
        if config.version not in VERSIONS:
            raise invalid(
                f"Version {config.version} is not available; there are {', '.join(VERSIONS)}"
            )
        if config.resources.resource_preset_id not in PRESETS:
            raise not_found("Resource preset", config.resources.resource_preset_id)
        if config.resources.disk_type_id not in _DISKS:
            raise not_found("Disk type", config.resources.disk_type_id)
        if self.state.get(Network, resource.network_id) is None:
            raise not_found("Network", resource.network_id)
        for group in resource.security_group_ids:
            if self.state.get(SecurityGroup, group) is None:
                raise not_found("Security group", group)

    def fill(self, resource: Any, request: Any) -> None:
        """Make the hosts, and the values that the platform chooses."""
        if not request.host_specs:
            raise invalid("Request validation error: HostSpecs: a cluster needs at least one host")
        resource.status, resource.health = Cluster.RUNNING, Cluster.ALIVE
        resource.is_ha = len(request.host_specs) > 1
        config = resource.config
        _set_defaults(config)
        manager = config.connection_manager
        if not manager.HasField("enabled"):
            manager.enabled.value = True
            manager.connections_folder_id = resource.folder_id
            manager.secrets_folder_id = resource.folder_id
        _refuse_settings(request)
        settings = getattr(config, f"postgresql_config_{config.version}")
        settings.user_config.SetInParent()
        settings.effective_config.SetInParent()
        settings.default_config.SetInParent()
        for specification in request.host_specs:
            self._add_host(resource, specification)
        self._elect(resource)

    def change(self, resource: Any, request: Any) -> None:
        """Refuse a smaller disk, and an older version."""
        _refuse_settings(request)
        old, new = self.find(resource.id).config, resource.config
        if new.resources.disk_size < old.resources.disk_size:
            raise invalid(f"Disk size cannot shrink from {old.resources.disk_size} bytes")
        if int(new.version) < int(old.version):
            raise invalid(f"Version cannot go back from {old.version} to {new.version}")

    def check_unused(self, resource: Any) -> None:
        """Keep a protected cluster."""
        if resource.deletion_protection:
            raise in_use(
                "The operation is not permitted: the cluster has deletion protection enabled"
            )

    def remove(self, resource: Any) -> None:
        """Forget the cluster, its hosts, databases and users."""
        kinds: tuple[Any, ...] = (Host, Database, User)
        for kind in kinds:
            for one in self.state.all(kind):
                if one.cluster_id == resource.id:
                    key = one.name if kind is Host else f"{resource.id}/{one.name}"
                    self.state.remove(kind, key)
        super().remove(resource)

    # Hosts.

    def list_hosts(self, request: Any) -> Any:
        """Return the cluster's hosts."""
        cluster = self.find(request.cluster_id)
        return ListClusterHostsResponse(hosts=self._hosts(cluster.id))

    def add_hosts(self, request: Any) -> Any:
        """Add hosts."""
        cluster = self.find(request.cluster_id)
        for specification in request.host_specs:
            self._add_host(cluster, specification)
        self._elect(cluster)
        return Empty()

    def delete_hosts(self, request: Any) -> Any:
        """Remove hosts, but not the last one."""
        cluster = self.find(request.cluster_id)
        for name in request.host_names:
            self.state.remove(Host, self._host(cluster, name).name)
        if not self._hosts(cluster.id):
            raise in_use(f"Cluster {cluster.id} needs at least one host")
        self._elect(cluster)
        return Empty()

    def update_hosts(self, request: Any) -> Any:
        """Change the values of hosts."""
        cluster = self.find(request.cluster_id)
        for specification in request.update_host_specs:
            host = self._host(cluster, specification.host_name)
            messages.update(specification, host, specification.update_mask.paths)
            self.state.put(host.name, host)
        return Empty()

    def _hosts(self, cluster_id: str) -> list[Any]:
        return [one for one in self.state.all(Host) if one.cluster_id == cluster_id]

    def _host(self, cluster: Any, name: str) -> Any:
        host = self.state.get(Host, name)
        if host is None or host.cluster_id != cluster.id:
            raise not_found("Host", name)
        return host

    def _add_host(self, cluster: Any, specification: Any) -> None:
        subnet = self.state.get(Subnet, specification.subnet_id)
        if subnet is None:
            raise not_found("Subnet", specification.subnet_id)
        if (subnet.zone_id, subnet.network_id) != (specification.zone_id, cluster.network_id):
            raise invalid(
                f"Subnet {subnet.id} is not in {specification.zone_id} of the cluster's network"
            )
        host = Host()
        messages.copy(specification, host)
        host.name = f"{_SHORT[host.zone_id]}-{secrets.token_hex(8)}.mdb.yandexcloud.net"
        host.cluster_id, host.health = cluster.id, Host.ALIVE
        host.resources.CopyFrom(cluster.config.resources)
        host.services.add(type=Service.POSTGRESQL, health=Service.ALIVE)
        host.services.add(type=Service.POOLER, health=Service.ALIVE)
        self.state.put(host.name, host)

    def _elect(self, cluster: Any) -> None:
        """Make the first host the master, and the others its replicas."""
        for number, host in enumerate(self._hosts(cluster.id)):
            host.role = Host.REPLICA if number else Host.MASTER
            self.state.put(host.name, host)


def _set_defaults(config: Any) -> None:
    if not config.HasField("autofailover"):
        config.autofailover.value = True
    if not config.HasField("backup_retain_period_days"):
        config.backup_retain_period_days.value = 7
    if not config.HasField("backup_window_start"):
        config.backup_window_start.SetInParent()
    config.access.SetInParent()
    config.performance_diagnostics.SetInParent()
    if not config.HasField("pooler_config"):
        config.pooler_config.pooling_mode = 1  # SESSION


def _refuse_settings(request: Any) -> None:
    """Raise Refused for settings of PostgreSQL itself, which are not stored."""
    chosen = request.config_spec.WhichOneof("postgresql_config")
    if chosen and getattr(request.config_spec, chosen).ListFields():
        raise Refused.unimplemented("settings of PostgreSQL")
