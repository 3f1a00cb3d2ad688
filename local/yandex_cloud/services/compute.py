"""Compute Cloud: disks, images, snapshot schedules. The machines are in instances.py."""

import re
from typing import Any

from yandex.cloud.compute.v1.disk_pb2 import Disk
from yandex.cloud.compute.v1.image_pb2 import Image, Os
from yandex.cloud.compute.v1.snapshot_schedule_pb2 import SnapshotSchedule
from yandex.cloud.compute.v1.snapshot_schedule_service_pb2 import ListSnapshotScheduleDisksResponse

from local.yandex_cloud import ids
from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import Refused, in_use, invalid, not_found
from local.yandex_cloud.service import Collection, Service, now
from local.yandex_cloud.services.networks import check_zone

PREFIXES = {"ru-central1-a": "fhm", "ru-central1-b": "epd", "ru-central1-d": "fv4"}
"""Of ids of disks and machines, by zone."""
DISK_TYPES = ("network-hdd", "network-ssd", "network-ssd-io-m3", "network-ssd-nonreplicated")
NAMES = r"|[a-z]([-_a-z0-9]{0,61}[a-z0-9])?"
"""Of disks, machines and snapshot schedules."""
STANDARD_IMAGES = "standard-images"
_BLOCK = 4096
_GIGABYTE = 1 << 30
_IMAGES = {
    "debian-12": "fd8debian12000000000",
    "ubuntu-2204-lts": "fd8ubuntu22040000000",
    "ubuntu-2404-lts": "fd8ubuntu24040000000",
}


class Images(Service):
    """Public images: some families, with an image each."""

    proto, name = "yandex.cloud.compute.v1.image_service", "ImageService"

    def get(self, request: Any) -> Any:
        """Return an image."""
        return image(request.image_id)

    def get_latest_by_family(self, request: Any) -> Any:
        """Return the newest image of a family."""
        if request.folder_id != STANDARD_IMAGES or request.family not in _IMAGES:
            raise not_found("Image family", f"{request.family} in folder {request.folder_id}")
        return image(_IMAGES[request.family])


def image(image_id: str) -> Any:
    """Return a public image. Raises Refused."""
    for family, key in _IMAGES.items():
        if key == image_id:
            return Image(
                id=key, folder_id=STANDARD_IMAGES, name=f"{family}-v1", family=family,
                status=Image.READY, min_disk_size=8 * _GIGABYTE, storage_size=4 * _GIGABYTE,
                os=Os(type=Os.LINUX),
            )  # fmt: skip
    raise not_found("Image", image_id)


class Disks(AccessBindings, Collection):
    """Disks."""

    proto, name = "yandex.cloud.compute.v1.disk_service", "DiskService"
    resource, noun, prefix = Disk, "Disk", "fhm"
    name_pattern = NAMES
    quota = ("compute.disks.count", 32)

    def check(self, resource: Any) -> None:
        """Check the zone, the type and the size."""
        check_zone(resource.zone_id)
        if resource.type_id not in DISK_TYPES:
            raise not_found("Disk type", resource.type_id)
        if resource.size % _BLOCK:
            raise invalid(
                f"Illegal argument size {resource.size}: not a multiple of the block size"
            )

    def create(self, request: Any) -> Any:
        """Make a disk, also from an image."""
        disk = super().create(request)
        if request.image_id:
            source = image(request.image_id)
            if disk.size < source.min_disk_size:
                raise invalid(
                    f"Illegal argument size {disk.size}: the image needs {source.min_disk_size}"
                )
            disk.source_image_id = source.id
        return self.save(disk)

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Make the disk usable."""
        resource.id = ids.new(PREFIXES[resource.zone_id])
        resource.block_size = resource.block_size or _BLOCK
        resource.status = Disk.READY
        resource.disk_placement_policy.SetInParent()

    def change(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Refuse a smaller disk."""
        stored = self.find(resource.id)
        if resource.size < stored.size:
            raise invalid(
                f"Illegal argument size {resource.size}: a disk cannot shrink from {stored.size}"
            )

    def check_unused(self, resource: Any) -> None:
        """Keep a disk that a machine has."""
        if resource.instance_ids:
            raise in_use(f"Disk {resource.id} is attached to instance {resource.instance_ids[0]}")


class SnapshotSchedules(AccessBindings, Collection):
    """Snapshot schedules and the disks of each."""

    proto, name = "yandex.cloud.compute.v1.snapshot_schedule_service", "SnapshotScheduleService"
    resource, noun, prefix = SnapshotSchedule, "Snapshot schedule", "fhm"
    name_pattern = NAMES
    quota = ("compute.snapshotSchedules.count", 32)

    def check(self, resource: Any) -> None:
        """Check the cron expression, which is the usual one of five fields."""
        _check_cron(resource.schedule_policy.expression)

    def fill(self, resource: Any, request: Any) -> None:
        """Start the schedule."""
        resource.status = SnapshotSchedule.ACTIVE
        if not resource.schedule_policy.HasField("start_at"):
            resource.schedule_policy.start_at.CopyFrom(now())
        self._keep(resource.id, [self._disk(key) for key in request.disk_ids])

    def list_disks(self, request: Any) -> Any:
        """Return the schedule's disks."""
        self.find(request.snapshot_schedule_id)
        return self._disks(request.snapshot_schedule_id)

    def update_disks(self, request: Any) -> Any:
        """Add and remove disks."""
        schedule = self.find(request.snapshot_schedule_id)
        disks = {one.id: one for one in self._disks(schedule.id).disks}
        for key in request.remove:
            disks.pop(key, None)
        self._keep(schedule.id, [*disks.values(), *(self._disk(key) for key in request.add)])
        return schedule

    def remove(self, resource: Any) -> None:
        """Forget the schedule and its list of disks."""
        self.state.remove(ListSnapshotScheduleDisksResponse, resource.id)
        super().remove(resource)

    def _disk(self, key: str) -> Any:
        disk = self.state.get(Disk, key)
        if disk is None:
            raise not_found("Disk", key)
        return disk

    def _disks(self, key: str) -> Any:
        """Return the disks, without those that were deleted."""
        stored = self.state.get(ListSnapshotScheduleDisksResponse, key)
        disks = [self.state.get(Disk, one.id) for one in stored.disks] if stored else []
        return ListSnapshotScheduleDisksResponse(disks=[one for one in disks if one])

    def _keep(self, key: str, disks: list[Any]) -> None:
        self.state.put(key, ListSnapshotScheduleDisksResponse(disks=disks))


def _check_cron(expression: str) -> None:
    if expression and not re.fullmatch(
        r"@(hourly|daily|weekly|monthly|yearly|annually)|(\S+ ){4}\S+", expression
    ):
        raise _cron(expression)
    for text, high in zip(expression.split(), (59, 23, 31, 12, 7), strict=False):
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if any(number > high for number in numbers):
            raise _cron(expression)


def _cron(expression: str) -> Refused:
    return invalid(f"Illegal argument schedule_policy.expression: {expression}")
