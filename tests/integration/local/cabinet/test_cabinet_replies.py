"""A simulated cabinet at a real broker: its replies and events, also when it misbehaves."""

import json
import time

import pytest

from local.broker import Broker
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from tests.integration.local.cabinet.service_side import SECONDS, ServiceSide, filled
from tests.support.waiting import wait_until


def test_an_unlock_opens_the_door_and_is_answered(device: Device, service: ServiceSide) -> None:
    number = filled(device)
    command_id = service.command("unlock", cells=[number])
    reply = service.reply_to(command_id)
    inside = device.hardware.cells[number].accumulator
    assert inside is not None
    assert reply["cells"] == [
        {
            "cell_number": number,
            "result": "opened",
            "accumulator_id": inside.accumulator_id,
            "battery_charge": inside.battery_charge,
        }
    ]
    assert device.hardware.cells[number].door == "open"


def test_taking_an_accumulator_and_closing_the_door_are_reported(
    fleet: Fleet, device: Device, service: ServiceSide
) -> None:
    number = filled(device)
    service.reply_to(service.command("unlock", cells=[number]))
    fleet.take("C-001", number)
    device.act(lambda hardware: hardware.close_door(number))
    taken, closed = service.receive(), service.receive()
    assert (taken["cell"]["door"], taken["cell"]["accumulator_id"]) == ("open", None)
    assert (closed["cell"]["door"], closed["cell"]["accumulator_id"]) == ("closed", None)


def test_the_reply_to_a_broadcast_has_its_id(device: Device, service: ServiceSide) -> None:
    topic = "$registries/local/commands"
    command_id = service.command("report_state", topic=topic, spread_s=0.1)
    reply = service.reply_to(command_id)
    assert (reply["type"], len(reply["cells"])) == ("state_report", 12)


def test_a_command_without_an_id_is_ignored(device: Device, service: ServiceSide) -> None:
    service.command("unlock", command_id=None, cells=[1])
    service.reply_to(service.command("lock", cells=[1]))
    assert device.hardware.ignored_commands == 1
    assert device.hardware.cells[1].door == "closed"


def test_a_late_reply_is_overtaken_by_other_messages(device: Device, service: ServiceSide) -> None:
    device.reply_delay_s = 0.3
    started = time.monotonic()
    command_id = service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.hardware.cells[filled(device)].door == "open")
    device.act(
        lambda hardware: hardware.pry_open(next(n for n in hardware.cells if n != filled(device)))
    )
    event, reply = service.receive(), service.receive()
    assert time.monotonic() - started >= 0.3
    assert (event["type"], reply["command_id"]) == ("cell_event", command_id)
    assert reply["seq"] < event["seq"]


def test_a_reply_sent_twice_is_an_exact_duplicate(device: Device, service: ServiceSide) -> None:
    device.reply_mode = "twice"
    service.command("unlock", cells=[filled(device)])
    first, second = (service.received.get(timeout=SECONDS) for _ in range(2))
    assert first == second


def test_a_cabinet_that_never_replies_still_opens(device: Device, service: ServiceSide) -> None:
    device.reply_mode = "never"
    service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.hardware.cells[filled(device)].door == "open")
    device.report()
    assert service.receive()["type"] == "state_report"


def test_a_deaf_cabinet_does_not_open(device: Device, service: ServiceSide) -> None:
    device.reply_mode = "deaf"
    service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.missed_commands == 1)
    assert device.hardware.cells[filled(device)].openings == 0


def test_a_corrupt_reply_is_not_json(device: Device, service: ServiceSide) -> None:
    device.reply_mode = "corrupt"
    service.command("unlock", cells=[filled(device)])
    with pytest.raises(json.JSONDecodeError):
        service.receive()


def test_a_foreign_reply_names_another_command(device: Device, service: ServiceSide) -> None:
    device.reply_mode = "foreign"
    command_id = service.command("unlock", cells=[filled(device)])
    assert service.receive()["command_id"] != command_id


def test_held_replies_can_be_released_in_another_order(
    device: Device, service: ServiceSide
) -> None:
    device.hold()
    ids = [service.command("lock", cells=[number]) for number in (1, 2, 3)]
    wait_until(lambda: device.hardware.seq == 5)
    assert device.release([2, 0, 1]) == 3
    assert [service.receive()["command_id"] for _ in ids] == [ids[2], ids[0], ids[1]]


def test_a_cabinet_can_be_made_to_send_any_bytes(device: Device, service: ServiceSide) -> None:
    device.send_raw(b"\xff\x00not json")
    assert service.received.get(timeout=SECONDS) == b"\xff\x00not json"


def test_50_cabinets_reply_to_one_broadcast(own_broker: Broker, service: ServiceSide) -> None:
    fleet = Fleet(50, 2)
    own_broker.add_devices(*fleet.by_id)
    fleet.start(own_broker.host, own_broker.port)
    try:
        topic = "$registries/local/commands"
        command_id = service.command("report_state", topic=topic, spread_s=0.2)
        replies = 0
        while replies < 50:
            replies += service.receive().get("command_id") == command_id
    finally:
        fleet.stop()
