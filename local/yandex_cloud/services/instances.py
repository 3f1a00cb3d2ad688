"""Compute Cloud: virtual machines. Nothing runs; their values are stored and read back."""

import secrets
from ipaddress import IPv4Address, ip_network
from typing import Any

from google.protobuf.empty_pb2 import Empty
from yandex.cloud.compute.v1.disk_pb2 import Disk, DiskPlacementPolicy
from yandex.cloud.compute.v1.instance_pb2 import AttachedDisk, Instance, IpVersion, NetworkSettings
from yandex.cloud.compute.v1.instance_service_pb2 import FULL
from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount
from yandex.cloud.vpc.v1.address_pb2 import Address
from yandex.cloud.vpc.v1.security_group_pb2 import SecurityGroup
from yandex.cloud.vpc.v1.subnet_pb2 import Subnet

from local.yandex_cloud import ids
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import in_use, invalid, not_found
from local.yandex_cloud.service import Collection
from local.yandex_cloud.services.compute import NAMES, PREFIXES, image
from local.yandex_cloud.services.networks import check_zone

_PLATFORMS = ("standard-v1", "standard-v2", "standard-v3", "standard-v4a", "amd-v1", "highfreq-v3")
_FRACTIONS = (5, 20, 50, 100)
_STEP = 1 << 30
_METADATA_BYTES = 512 << 10
_FIRST_HOST = 3  # the first two addresses of a subnet are the platform's


class Instances(AccessBindings, Collection):
    """Virtual machines."""

    proto, name = "yandex.cloud.compute.v1.instance_service", "InstanceService"
    resource, noun, prefix = Instance, "Instance", "fhm"
    name_pattern = NAMES
    quota = ("compute.instances.count", 12)
    slow = frozenset({"Create", "Delete"})

    def get(self, request: Any) -> Any:
        """Return a machine; its metadata only in the full view."""
        machine = super().get(request)
        if request.view != FULL:
            machine.ClearField("metadata")
        return machine

    def check(self, resource: Any) -> None:
        """Check the zone, the platform, the resources and the account."""
        check_zone(resource.zone_id)
        if resource.platform_id not in _PLATFORMS:
            raise not_found("Platform", resource.platform_id)
        wanted = resource.resources
        if wanted.core_fraction not in (0, *_FRACTIONS) or wanted.memory % _STEP:
            raise invalid("Illegal argument resources_spec: core_fraction or memory")
        if (
            sum(len(key) + len(resource.metadata[key]) for key in resource.metadata)
            > _METADATA_BYTES
        ):
            raise invalid(f"Illegal argument metadata: more than {_METADATA_BYTES} bytes")
        account = resource.service_account_id
        if account and self.state.get(ServiceAccount, account) is None:
            raise not_found("Service account", account)

    def fill(self, resource: Any, request: Any) -> None:
        """Attach the disks and the network."""
        resource.id = ids.new(PREFIXES[resource.zone_id])
        resource.status = Instance.RUNNING
        resource.resources.core_fraction = resource.resources.core_fraction or 100
        for policy in ("scheduling_policy", "placement_policy", "gpu_settings"):
            getattr(resource, policy).SetInParent()
        resource.network_settings.type = resource.network_settings.type or NetworkSettings.STANDARD
        resource.fqdn = f"{request.hostname or resource.id}.ru-central1.internal"
        resource.ClearField("boot_disk")
        resource.boot_disk.CopyFrom(self._attach(resource, request.boot_disk_spec))
        del resource.secondary_disks[:]
        for specification in request.secondary_disk_specs:
            resource.secondary_disks.append(self._attach(resource, specification))
        for number, interface in enumerate(resource.network_interfaces):
            self._connect(resource, interface, number)

    def remove(self, resource: Any) -> None:
        """Forget the machine, detach its disks and free its address."""
        for attached in (resource.boot_disk, *resource.secondary_disks):
            disk = self.state.get(Disk, attached.disk_id)
            if disk and attached.auto_delete:
                self.state.remove(Disk, disk.id)
            elif disk:
                disk.instance_ids.remove(resource.id)
                self.state.put(disk.id, disk)
        for interface in resource.network_interfaces:
            self._use(interface.primary_v4_address.one_to_one_nat.address, is_used=False)
        super().remove(resource)

    def update_metadata(self, request: Any) -> Any:
        """Set and delete keys of the metadata."""
        machine = self.find(request.instance_id)
        for key in request.delete:
            machine.metadata.pop(key, None)
        machine.metadata.update(request.upsert)
        self.check(machine)
        return self.save(machine)

    def change(self, resource: Any, request: Any) -> None:
        """Refuse another size for a machine that runs."""
        if resource.status != Instance.STOPPED and any(
            path.startswith(("resources_spec", "platform_id")) for path in self.paths(request)
        ):
            raise in_use(f"Instance {resource.id} must be stopped to change its resources")

    def stop(self, request: Any) -> Any:
        """Stop the machine."""
        machine = self.find(request.instance_id)
        machine.status = Instance.STOPPED
        self.save(machine)
        return Empty()

    def start(self, request: Any) -> Any:
        """Start the machine."""
        machine = self.find(request.instance_id)
        machine.status = Instance.RUNNING
        return self.save(machine)

    def _attach(self, machine: Any, wanted: Any) -> Any:
        disk = self._disk(machine, wanted)
        if disk.instance_ids:
            raise in_use(f"Disk {disk.id} is attached to instance {disk.instance_ids[0]}")
        if disk.zone_id != machine.zone_id:
            raise invalid("Illegal argument disk_id.zone_id")
        disk.instance_ids.append(machine.id)
        self.state.put(disk.id, disk)
        return AttachedDisk(
            mode=wanted.mode or AttachedDisk.READ_WRITE,
            device_name=wanted.device_name or disk.id,
            auto_delete=wanted.auto_delete,
            disk_id=disk.id,
        )

    def _disk(self, machine: Any, wanted: Any) -> Any:
        """Return the disk of that id, or a new one from an image."""
        if wanted.disk_id:
            disk = self.state.get(Disk, wanted.disk_id)
            if disk is None:
                raise not_found("Disk", wanted.disk_id)
            return disk
        made, source = wanted.disk_spec, image(wanted.disk_spec.image_id)
        if made.size < source.min_disk_size:
            raise invalid(
                f"Illegal argument size {made.size}: the image needs {source.min_disk_size}"
            )
        return Disk(
            id=ids.new(PREFIXES[machine.zone_id]), folder_id=machine.folder_id, name=made.name,
            type_id=made.type_id or "network-hdd", zone_id=machine.zone_id, size=made.size,
            block_size=made.block_size or 4096, status=Disk.READY, source_image_id=source.id,
            created_at=machine.created_at, description=made.description,
            disk_placement_policy=DiskPlacementPolicy(),
        )  # fmt: skip

    def _connect(self, machine: Any, interface: Any, number: int) -> None:
        subnet = self.state.get(Subnet, interface.subnet_id)
        if subnet is None:
            raise not_found("Subnet", interface.subnet_id)
        if subnet.zone_id != machine.zone_id:
            raise invalid("Illegal argument subnet_id.zone_id")
        for group in interface.security_group_ids:
            if self.state.get(SecurityGroup, group) is None:
                raise not_found("Security group", group)
        interface.index = str(number)
        interface.mac_address = "d0:0d:" + ":".join(secrets.token_hex(1) for _ in range(4))
        primary = interface.primary_v4_address
        primary.address = primary.address or self._free_address(subnet)
        if primary.HasField("one_to_one_nat"):
            primary.one_to_one_nat.ip_version = IpVersion.IPV4
            primary.one_to_one_nat.address = primary.one_to_one_nat.address or "203.0.113.10"
            self._use(primary.one_to_one_nat.address, is_used=True)

    def _free_address(self, subnet: Any) -> str:
        taken = {
            face.primary_v4_address.address for one in self.all() for face in one.network_interfaces
        }
        first = int(ip_network(subnet.v4_cidr_blocks[0]).network_address) + _FIRST_HOST
        return next(
            text for number in range(256) if (text := str(IPv4Address(first + number))) not in taken
        )

    def _use(self, text: str, *, is_used: bool) -> None:
        """Mark a reserved address as used or free. Raises Refused if another machine has it."""
        for address in self.state.all(Address):
            if address.external_ipv4_address.address == text:
                if is_used and address.used:
                    raise in_use(f"Address {text} is in use")
                address.used = is_used
                self.state.put(address.id, address)
