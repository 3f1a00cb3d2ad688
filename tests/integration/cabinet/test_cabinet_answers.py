"""A simulated cabinet at a real broker: what it answers and tells, also when it misbehaves."""

import json
import time

import pytest

from local.broker import Broker
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from tests.integration.cabinet.far_end import SECONDS, Service, filled
from tests.waiting import wait_until


def test_unlock_opens_the_door_and_answers(device: Device, service: Service) -> None:
    number = filled(device)
    command_id = service.command("unlock", cells=[number])
    answer = service.answer(command_id)
    inside = device.hardware.cells[number].accumulator
    assert inside is not None
    assert answer["cells"] == [
        {
            "cell_number": number,
            "result": "opened",
            "accumulator_id": inside.accumulator_id,
            "battery_charge": inside.battery_charge,
        }
    ]
    assert device.hardware.cells[number].door == "open"


def test_what_hands_do_is_heard(fleet: Fleet, device: Device, service: Service) -> None:
    number = filled(device)
    service.answer(service.command("unlock", cells=[number]))
    fleet.take("C-001", number)
    device.act(lambda hardware: hardware.close_door(number))
    taken, closed = service.hear(), service.hear()
    assert (taken["cell"]["door"], taken["cell"]["accumulator_id"]) == ("open", None)
    assert (closed["cell"]["door"], closed["cell"]["accumulator_id"]) == ("closed", None)


def test_a_broadcast_is_answered_with_its_id(device: Device, service: Service) -> None:
    topic = "$registries/local/commands"
    command_id = service.command("report_state", topic=topic, spread_s=0.1)
    answer = service.answer(command_id)
    assert (answer["type"], len(answer["cells"])) == ("state_report", 12)


def test_bytes_that_are_no_command_change_nothing(device: Device, service: Service) -> None:
    service.command("unlock", command_id=None, cells=[1])
    service.answer(service.command("lock", cells=[1]))
    assert device.hardware.ignored == 1
    assert device.hardware.cells[1].door == "closed"


def test_a_late_answer_comes_late_and_other_messages_overtake_it(
    device: Device, service: Service
) -> None:
    device.delay_s = 0.3
    begun = time.monotonic()
    command_id = service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.hardware.cells[filled(device)].door == "open")
    device.act(
        lambda hardware: hardware.pry_open(next(n for n in hardware.cells if n != filled(device)))
    )
    event, answer = service.hear(), service.hear()
    assert time.monotonic() - begun >= 0.3
    assert (event["type"], answer["command_id"]) == ("cell_event", command_id)
    assert answer["seq"] < event["seq"]


def test_an_answer_given_twice_is_an_exact_duplicate(device: Device, service: Service) -> None:
    device.answer = "twice"
    service.command("unlock", cells=[filled(device)])
    first, second = (service.heard.get(timeout=SECONDS) for _ in range(2))
    assert first == second


def test_a_cabinet_that_never_answers_has_opened_all_the_same(
    device: Device, service: Service
) -> None:
    device.answer = "never"
    service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.hardware.cells[filled(device)].door == "open")
    device.report()
    assert service.hear()["type"] == "state_report"


def test_a_deaf_cabinet_does_not_even_open(device: Device, service: Service) -> None:
    device.answer = "deaf"
    service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.missed == 1)
    assert device.hardware.cells[filled(device)].openings == 0


def test_a_corrupt_answer_is_not_json(device: Device, service: Service) -> None:
    device.answer = "corrupt"
    service.command("unlock", cells=[filled(device)])
    with pytest.raises(json.JSONDecodeError):
        service.hear()


def test_a_foreign_answer_names_a_command_that_nobody_gave(
    device: Device, service: Service
) -> None:
    device.answer = "foreign"
    command_id = service.command("unlock", cells=[filled(device)])
    assert service.hear()["command_id"] != command_id


def test_held_answers_are_released_in_another_order(device: Device, service: Service) -> None:
    device.hold()
    ids = [service.command("lock", cells=[number]) for number in (1, 2, 3)]
    wait_until(lambda: device.hardware.seq == 5)
    assert device.release([2, 0, 1]) == 3
    assert [service.hear()["command_id"] for _ in ids] == [ids[2], ids[0], ids[1]]


def test_any_bytes_can_be_said(device: Device, service: Service) -> None:
    device.say_raw(b"\xff\x00not json")
    assert service.heard.get(timeout=SECONDS) == b"\xff\x00not json"


def test_fifty_cabinets_answer_one_broadcast(own_broker: Broker, service: Service) -> None:
    fleet = Fleet(50, 2)
    own_broker.add_devices(*fleet.by_id)
    fleet.start(own_broker.host, own_broker.port)
    try:
        topic = "$registries/local/commands"
        command_id = service.command("report_state", topic=topic, spread_s=0.2)
        answers = 0
        while answers < 50:
            answers += service.hear().get("command_id") == command_id
    finally:
        fleet.stop()
