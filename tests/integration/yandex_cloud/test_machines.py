"""Compute Cloud in the fake: disks, images, snapshot schedules, virtual machines."""

from typing import Any

import pytest
from grpc import StatusCode

from tests.support.yandex_api import Api, refused

_GIGABYTE = 1 << 30
_ZONE = "ru-central1-a"


def _disk(api: Api, **fields: Any) -> Any:
    values = {"name": "data", "zone_id": _ZONE, "type_id": "network-ssd", "size": 10 * _GIGABYTE}
    return api.create("Disk", **{**values, **fields})


def _machine(api: Api, **fields: Any) -> Any:
    image = api.call(
        "Image", "GetLatestByFamily", folder_id="standard-images", family="ubuntu-2404-lts"
    )
    boot = {"auto_delete": True, "disk_spec": {"size": 10 * _GIGABYTE, "image_id": image.id}}
    values = {
        "name": "broker", "hostname": "broker", "zone_id": _ZONE, "platform_id": "standard-v3",
        "resources_spec": {"cores": 2, "core_fraction": 50, "memory": 2 * _GIGABYTE},
        "boot_disk_spec": boot, "metadata": {"user-data": "#cloud-config"},
    }  # fmt: skip
    return api.create("Instance", **{**values, **fields})


def _interfaces(api: Api, **nat: str) -> list[dict[str, Any]]:
    _, subnet = api.network()
    address = {"one_to_one_nat_spec": {"ip_version": "IPV4", **nat}}
    return [{"subnet_id": subnet.id, "primary_v4_address_spec": address}]


def test_machine_uses_its_disk_and_its_address(api: Api) -> None:
    disk = _disk(api)
    address = api.create("Address", external_ipv4_address_spec={"zone_id": _ZONE})
    public = address.external_ipv4_address.address
    machine = _machine(
        api, secondary_disk_specs=[{"disk_id": disk.id, "device_name": "broker-data"}],
        network_interface_specs=_interfaces(api, address=public),
    )  # fmt: skip

    (interface,) = machine.network_interfaces
    assert machine.fqdn == "broker.ru-central1.internal"
    assert interface.primary_v4_address.one_to_one_nat.address == public
    assert interface.primary_v4_address.address == "10.1.0.3"
    assert machine.secondary_disks[0].device_name == "broker-data"
    with refused(StatusCode.FAILED_PRECONDITION, f"Disk {disk.id} is attached to instance"):
        api.call("Disk", "Delete", disk_id=disk.id)
    with refused(StatusCode.FAILED_PRECONDITION, f"Address {address.id} is in use"):
        api.call("Address", "Delete", address_id=address.id)
    with refused(StatusCode.FAILED_PRECONDITION, f"{interface.subnet_id} not empty"):
        api.call("Subnet", "Delete", subnet_id=interface.subnet_id)

    api.call("Instance", "Delete", instance_id=machine.id)
    for service, key in (("Disk", "disk_id"), ("Address", "address_id")):
        api.call(service, "Delete", **{key: disk.id if service == "Disk" else address.id})
    with refused(StatusCode.NOT_FOUND, "Disk"):  # the boot disk went with the machine
        api.call("Disk", "Get", disk_id=machine.boot_disk.disk_id)


def test_metadata_is_read_in_the_full_view_only(api: Api) -> None:
    machine = _machine(api)

    basic = api.call("Instance", "Get", instance_id=machine.id)
    full = api.call("Instance", "Get", instance_id=machine.id, view="FULL")

    assert (dict(basic.metadata), dict(full.metadata)) == ({}, {"user-data": "#cloud-config"})


def test_machine_has_to_stop_for_another_size(api: Api) -> None:
    machine = _machine(api)
    change = {
        "instance_id": machine.id, "update_mask": {"paths": ["resources_spec"]},
        "resources_spec": {"cores": 4, "core_fraction": 100, "memory": 4 * _GIGABYTE},
    }  # fmt: skip

    with refused(StatusCode.FAILED_PRECONDITION, "must be stopped"):
        api.call("Instance", "Update", **change)

    api.call("Instance", "Stop", instance_id=machine.id)
    api.call("Instance", "Update", **change)
    assert api.call("Instance", "Start", instance_id=machine.id).resources.cores == 4


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"zone_id": "ru-central1-c"}, StatusCode.NOT_FOUND, "Zone ru-central1-c not found"),
        ({"platform_id": "standard-v9"}, StatusCode.NOT_FOUND, "Platform standard-v9"),
        ({"name": "Broker"}, StatusCode.INVALID_ARGUMENT, "Name: invalid resource name"),
        ({"service_account_id": "ajenone"}, StatusCode.NOT_FOUND, "Service account ajenone"),
        (
            {"resources_spec": {"cores": 2, "core_fraction": 33, "memory": _GIGABYTE}},
            StatusCode.INVALID_ARGUMENT,
            "Illegal argument resources_spec",
        ),
    ],
)
def test_machine_that_the_platform_refuses(
    api: Api, fields: dict[str, Any], code: StatusCode, words: str
) -> None:
    with refused(code, words):
        _machine(api, **fields)


def test_machine_in_another_zone_than_its_subnet_is_refused(api: Api) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "Illegal argument subnet_id.zone_id"):
        _machine(api, zone_id="ru-central1-b", network_interface_specs=_interfaces(api))


def test_disk_neither_shrinks_nor_has_an_unknown_type(api: Api) -> None:
    disk = _disk(api)

    with refused(StatusCode.INVALID_ARGUMENT, "cannot shrink"):
        api.call(
            "Disk", "Update", disk_id=disk.id, update_mask={"paths": ["size"]}, size=8 * _GIGABYTE
        )
    with refused(StatusCode.NOT_FOUND, "Disk type floppy not found"):
        _disk(api, name="other", type_id="floppy")


def test_snapshot_schedule_keeps_its_disks(api: Api) -> None:
    one, other = _disk(api), _disk(api, name="other")
    schedule = api.create(
        "SnapshotSchedule", name="daily", disk_ids=[one.id], snapshot_count=7,
        schedule_policy={"expression": "30 1 * * *"},
    )  # fmt: skip
    which = {"snapshot_schedule_id": schedule.id}

    api.call("SnapshotSchedule", "UpdateDisks", **which, add=[other.id], remove=[one.id])

    listed = api.call("SnapshotSchedule", "ListDisks", **which).disks
    assert [disk.id for disk in listed] == [other.id]
    with refused(StatusCode.INVALID_ARGUMENT, "schedule_policy.expression: 61 1 * * *"):
        api.create("SnapshotSchedule", schedule_policy={"expression": "61 1 * * *"})


def test_unknown_image_family_is_not_found(api: Api) -> None:
    with refused(StatusCode.NOT_FOUND, "Image family ubuntu-2399 in folder standard-images"):
        api.call("Image", "GetLatestByFamily", folder_id="standard-images", family="ubuntu-2399")
