"""Virtual Private Cloud: networks, subnets, security groups and addresses."""

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network
from typing import Any

from yandex.cloud.compute.v1.instance_pb2 import Instance
from yandex.cloud.mdb.postgresql.v1.cluster_pb2 import Cluster, Host
from yandex.cloud.vpc.v1.address_pb2 import Address
from yandex.cloud.vpc.v1.network_pb2 import Network
from yandex.cloud.vpc.v1.network_service_pb2 import (
    ListNetworkSecurityGroupsResponse,
    ListNetworkSubnetsResponse,
)
from yandex.cloud.vpc.v1.security_group_pb2 import SecurityGroup
from yandex.cloud.vpc.v1.subnet_pb2 import Subnet

from local.yandex_cloud import ids, messages
from local.yandex_cloud.refusals import in_use, invalid, not_found
from local.yandex_cloud.service import Collection

ZONES = {"ru-central1-a": "e9b", "ru-central1-b": "e2l", "ru-central1-d": "fl8"}
"""The zones, with the prefixes of their subnets' ids."""
NAMES = r"|[a-zA-Z]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
_LARGEST, _SMALLEST = 16, 28
_PUBLIC = "198.51.100."  # RFC 5737: documentation


class Networks(Collection):
    """Networks."""

    proto, name = "yandex.cloud.vpc.v1.network_service", "NetworkService"
    resource, noun, prefix = Network, "Network", "enp"
    name_pattern = NAMES
    quota = ("vpc.networks.count", 2)

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Give the network its default security group, which allows everything."""
        group = SecurityGroup(
            id=ids.new(self.prefix), folder_id=resource.folder_id, network_id=resource.id,
            name=f"default-sg-{resource.id}", status=SecurityGroup.ACTIVE,
            default_for_network=True, created_at=resource.created_at,
        )  # fmt: skip
        self.state.put(group.id, group)
        resource.default_security_group_id = group.id

    def check_unused(self, resource: Any) -> None:
        """Keep a network that anything is in."""
        groups = [one for one in self._groups(resource.id) if not one.default_for_network]
        if groups or self._subnets(resource.id):
            raise in_use(f"Network with id {resource.id} not empty")

    def remove(self, resource: Any) -> None:
        """Forget the network and its default security group."""
        self.state.remove(SecurityGroup, resource.default_security_group_id)
        super().remove(resource)

    def list_subnets(self, request: Any) -> Any:
        """Return the network's subnets."""
        network = self.find(request.network_id)
        return ListNetworkSubnetsResponse(subnets=self._subnets(network.id))

    def list_security_groups(self, request: Any) -> Any:
        """Return the network's security groups."""
        network = self.find(request.network_id)
        return ListNetworkSecurityGroupsResponse(security_groups=self._groups(network.id))

    def _subnets(self, network_id: str) -> list[Any]:
        return [one for one in self.state.all(Subnet) if one.network_id == network_id]

    def _groups(self, network_id: str) -> list[Any]:
        return [one for one in self.state.all(SecurityGroup) if one.network_id == network_id]


class Subnets(Collection):
    """Subnets."""

    proto, name = "yandex.cloud.vpc.v1.subnet_service", "SubnetService"
    resource, noun, prefix = Subnet, "Subnet", "e9b"
    name_pattern = NAMES
    quota = ("vpc.subnets.count", 12)

    def check(self, resource: Any) -> None:
        """Check the zone and the address ranges."""
        if self.state.get(Network, resource.network_id) is None:
            raise not_found("Network", resource.network_id)
        check_zone(resource.zone_id)
        others = [
            range_
            for one in self.all()
            if one.network_id == resource.network_id and one.id != resource.id
            for range_ in one.v4_cidr_blocks
        ]
        for text in resource.v4_cidr_blocks:
            _check_subnet(text, others)

    def stamp(self, resource: Any) -> None:
        """Give the subnet an id of its zone."""
        super().stamp(resource)
        resource.id = ids.new(ZONES.get(resource.zone_id, self.prefix))

    def check_unused(self, resource: Any) -> None:
        """Keep a subnet that a machine or a database host is in."""
        interfaces = (face for one in self.state.all(Instance) for face in one.network_interfaces)
        users = [*interfaces, *self.state.all(Host)]
        if any(one.subnet_id == resource.id for one in users):
            raise in_use(f"Subnet with id {resource.id} not empty")


class SecurityGroups(Collection):
    """Security groups and their rules."""

    proto, name = "yandex.cloud.vpc.v1.security_group_service", "SecurityGroupService"
    resource, noun, prefix = SecurityGroup, "Security group", "enp"
    name_pattern = NAMES

    def check(self, resource: Any) -> None:
        """Check the network and the rules."""
        if self.state.get(Network, resource.network_id) is None:
            raise not_found("Network", resource.network_id)
        for rule in resource.rules:
            self._complete(rule)

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Make it usable."""
        resource.status = SecurityGroup.ACTIVE

    def check_unused(self, resource: Any) -> None:
        """Keep a group that a machine, a cluster or a rule refers to."""
        interfaces = (face for one in self.state.all(Instance) for face in one.network_interfaces)
        users = [*interfaces, *self.state.all(Cluster)]
        if any(resource.id in one.security_group_ids for one in users):
            raise in_use(f"Security group with id {resource.id} not empty")

    def update_rules(self, request: Any) -> Any:
        """Remove some rules and add others."""
        group = self.find(request.security_group_id)
        kept = [one for one in group.rules if one.id not in request.deletion_rule_ids]
        added = SecurityGroup()
        for specification in request.addition_rule_specs:
            messages.copy(specification, added.rules.add())
        del group.rules[:]
        group.rules.extend([*kept, *added.rules])
        self.check(group)
        return self.save(group)

    def _complete(self, rule: Any) -> None:
        for text in (*rule.cidr_blocks.v4_cidr_blocks, *rule.cidr_blocks.v6_cidr_blocks):
            parse_range(text)
        if rule.ports.from_port > rule.ports.to_port:
            raise invalid(f"Illegal argument ports {rule.ports.from_port}-{rule.ports.to_port}")
        rule.id = rule.id or ids.new(self.prefix)
        _complete_protocol(rule)


class Addresses(Collection):
    """Public addresses."""

    proto, name = "yandex.cloud.vpc.v1.address_service", "AddressService"
    resource, noun, prefix = Address, "Address", "e9b"
    name_pattern = NAMES
    quota = ("vpc.externalStaticAddresses.count", 2)

    def check(self, resource: Any) -> None:
        """Check the zone."""
        check_zone(resource.external_ipv4_address.zone_id)

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Choose an address."""
        resource.reserved = True
        resource.type, resource.ip_version = Address.EXTERNAL, Address.IPV4
        taken = {one.external_ipv4_address.address for one in self.all()}
        chosen = next(
            f"{_PUBLIC}{number}" for number in range(1, 255) if f"{_PUBLIC}{number}" not in taken
        )
        resource.external_ipv4_address.address = resource.external_ipv4_address.address or chosen

    def check_unused(self, resource: Any) -> None:
        """Keep a protected address, and one that a machine has."""
        if resource.deletion_protection:
            raise in_use(f"Address {resource.id} has deletion protection enabled")
        if resource.used:
            raise in_use(f"Address {resource.id} is in use")


def check_zone(zone: str) -> None:
    """Raise Refused for a zone that does not exist."""
    if zone not in ZONES:
        raise not_found("Zone", zone)


def parse_range(text: str) -> Any:
    """Return the network of a CIDR. Raises Refused."""
    try:
        return ip_network(text)
    except ValueError:
        raise invalid(f"Illegal argument Cannot parse CIDR: {text}") from None


def _check_subnet(text: str, others: Iterable[str]) -> None:
    network = parse_range(text)
    if not any(
        network.version == private.version and network.subnet_of(private) for private in _PRIVATE
    ):
        raise invalid(f"Illegal argument CIDR {text} is not in a private range")
    if not _LARGEST <= network.prefixlen <= _SMALLEST:
        raise invalid(
            f"Illegal argument CIDR {text}: the prefix must be /{_LARGEST} to /{_SMALLEST}"
        )
    for other in others:
        if network.overlaps(ip_network(other)):
            raise invalid(f"Illegal argument CIDR {text} overlaps with {other}")


_PROTOCOLS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ESP": 50, "AH": 51, "IPV6_ICMP": 58, "ANY": -1}


def _complete_protocol(rule: Any) -> None:
    """Set the protocol's number from its name, or its name from its number."""
    if rule.protocol_name:
        if rule.protocol_name.upper() not in _PROTOCOLS:
            raise invalid(f"Illegal argument protocol {rule.protocol_name}")
        rule.protocol_number = _PROTOCOLS[rule.protocol_name.upper()]
    else:
        names = {number: name for name, number in _PROTOCOLS.items()}
        rule.protocol_name = names.get(rule.protocol_number or -1, "")
