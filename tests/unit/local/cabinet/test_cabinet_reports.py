"""The simulated cabinet reports what its sensors detect, as docs/protocol.md says."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator, Firmware, Hardware
from tests.unit.local.cabinet.native_v1_shapes import check_shape
from tests.unit.local.cabinet.small_cabinet import command, reply, sensed


def test_report_state_to_one_cabinet_is_answered_immediately(hardware: Hardware) -> None:
    [reply] = hardware.handle(command("report_state"))
    assert reply.after_s == 0
    assert reply.make()["command_id"] == "c-1"


@pytest.mark.parametrize(("fields", "longest"), [({}, 20), ({"spread_s": 3}, 3)])
def test_a_broadcast_is_answered_after_a_random_delay_within_its_spread(
    hardware: Hardware, fields: dict[str, Any], longest: float
) -> None:
    asked = command("report_state", **fields)
    delays = [hardware.handle(asked, broadcast=True)[0].after_s for _ in range(50)]
    assert all(0 <= delay <= longest for delay in delays)
    assert max(delays) - min(delays) > longest / 2


def test_a_delayed_report_has_the_state_at_the_time_of_sending(hardware: Hardware) -> None:
    [reply] = hardware.handle(command("report_state"), broadcast=True)
    hardware.pry_open(1)
    assert reply.make()["cells"][0]["door"] == "open"


def test_a_state_report_is_complete(hardware: Hardware) -> None:
    hardware.alarms = {"smoke", "over_temperature"}
    hardware.cells[3].fault = "lock"
    message = hardware.state_report()
    check_shape(message)
    assert message["alarms"] == ["over_temperature", "smoke"]
    assert message["cells"] == [
        {
            "cell_number": 1,
            "door": "closed",
            "accumulator_id": "A-0001",
            "battery_charge": 97,
            "state_of_health": 95,
            "charging": True,
            "temperature_c": 24.5,
        },
        {
            "cell_number": 2,
            "door": "closed",
            "accumulator_id": "A-0002",
            "battery_charge": 12,
            "state_of_health": 90,
            "charging": True,
            "temperature_c": 24.5,
        },
        {
            "cell_number": 3,
            "door": "closed",
            "accumulator_id": None,
            "temperature_c": 24.5,
            "fault": "lock",
        },
    ]


def test_firmware_may_leave_cells_out_of_its_reports(hardware: Hardware) -> None:
    hardware.firmware = Firmware(omits=frozenset({2}))
    assert [cell["cell_number"] for cell in hardware.state_report()["cells"]] == [1, 3]


def test_an_unreadable_accumulator_is_reported_as_present_but_unknown(hardware: Hardware) -> None:
    hardware.pry_open(3)
    hardware.insert(3, Accumulator("A-0009", 50, readable=False))
    cell = sensed(hardware, 3)
    assert cell["accumulator_id"] == "?"
    assert "battery_charge" not in cell


def test_a_broken_presence_sensor_makes_a_full_cell_look_empty(hardware: Hardware) -> None:
    hardware.cells[1].senses["accumulator_id"] = None
    cell = sensed(hardware, 1)
    assert cell["accumulator_id"] is None
    assert "battery_charge" not in cell


@pytest.mark.parametrize("charge", [255, -1, 97.5, "full"])
def test_a_sensor_can_be_made_to_report_an_impossible_charge(
    hardware: Hardware, charge: object
) -> None:
    hardware.cells[1].senses["battery_charge"] = charge
    assert sensed(hardware, 1)["battery_charge"] == charge


def test_an_unknown_charge_is_reported_as_null(hardware: Hardware) -> None:
    hardware.pry_open(3)
    hardware.insert(3, Accumulator("A-0009"))
    assert sensed(hardware, 3)["battery_charge"] is None


def test_each_manual_action_is_reported_by_a_cell_event(hardware: Hardware) -> None:
    reply(hardware, command(cells=[1]))
    assert hardware.poll_sensors() == []  # the reply has reported it
    hardware.remove(1)
    [removed] = hardware.poll_sensors()
    hardware.close_door(1)
    [closed] = hardware.poll_sensors()
    for message in (removed, closed):
        check_shape(message)
    assert (removed["cell"]["door"], removed["cell"]["accumulator_id"]) == ("open", None)
    assert (closed["cell"]["door"], closed["cell"]["accumulator_id"]) == ("closed", None)


def test_a_change_that_no_sensor_detects_is_not_reported(hardware: Hardware) -> None:
    hardware.cells[1].senses["accumulator_id"] = "A-0001"
    hardware.pry_open(1)
    hardware.poll_sensors()
    hardware.remove(1)
    assert hardware.poll_sensors() == []


def test_a_pried_door_is_reported_as_open(hardware: Hardware) -> None:
    hardware.pry_open(2)
    [message] = hardware.poll_sensors()
    assert (message["type"], message["cell"]["door"]) == ("cell_event", "open")


def test_an_alarm_is_reported_by_a_state_report(hardware: Hardware) -> None:
    hardware.alarms.add("smoke")
    [message] = hardware.poll_sensors()
    assert (message["type"], message["alarms"]) == ("state_report", ["smoke"])
