"""The simulated cabinet executes or refuses commands as docs/protocol.md says."""

from dataclasses import replace
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator, ActionImpossible, Firmware, Hardware
from tests.unit.local.cabinet.small_cabinet import Clock, body, command, reply, restart


def test_an_unlock_opens_each_requested_cell_and_names_its_accumulator(hardware: Hardware) -> None:
    assert body(reply(hardware, command(cells=[1, 3]))) == {
        "command_id": "c-1",
        "status": "done",
        "cells": [
            {
                "cell_number": 1,
                "result": "opened",
                "accumulator_id": "A-0001",
                "battery_charge": 97,
            },
            {"cell_number": 3, "result": "opened", "accumulator_id": None},
        ],
    }
    assert [cell.door for cell in hardware.cells.values()] == ["open", "closed", "open"]


@pytest.mark.parametrize(
    ("broken", "result", "door"),
    [
        ({"lock": "jammed"}, "jammed", "closed"),
        ({"lock": "stuck"}, "not_detected", "closed"),
        ({"senses": {"door": "closed"}}, "not_detected", "open"),
        ({"senses": {"door": "unknown"}}, "not_detected", "open"),
        ({"disabled": True}, "disabled", "closed"),
        ({"fault": "lock"}, "faulty", "closed"),
    ],
)
def test_the_reply_says_why_a_cell_did_not_open(
    hardware: Hardware, broken: dict[str, Any], result: str, door: str
) -> None:
    hardware.cells[1] = replace(hardware.cells[1], **broken)
    message = reply(hardware, command(cells=[1]))
    assert message["cells"] == [{"cell_number": 1, "result": result}]
    assert hardware.cells[1].door == door


def test_some_cells_may_open_and_others_fail(hardware: Hardware) -> None:
    hardware.cells[2].lock = "jammed"
    cells = reply(hardware, command(cells=[1, 2, 9]))["cells"]
    assert [cell["result"] for cell in cells] == ["opened", "jammed", "unknown_cell"]


def test_a_cell_named_twice_in_one_command_gets_one_pulse(hardware: Hardware) -> None:
    assert len(reply(hardware, command(cells=[1, 1]))["cells"]) == 1
    assert hardware.cells[1].openings == 1


def test_a_lock_command_needs_a_closed_door(hardware: Hardware) -> None:
    hardware.pry_open(2)
    cells = reply(hardware, command("lock", cells=[1, 2]))["cells"]
    assert [cell["result"] for cell in cells] == ["locked", "not_detected"]


def test_a_redelivered_command_gets_the_stored_reply_and_opens_nothing(hardware: Hardware) -> None:
    first = reply(hardware, command(cells=[1]))
    hardware.close_door(1)
    second = reply(hardware, command(cells=[1]))
    assert body(second) == body(first)
    assert second["seq"] > first["seq"]
    assert (hardware.cells[1].door, hardware.cells[1].openings) == ("closed", 1)
    assert hardware.double_openings == 0


def test_a_second_opening_by_firmware_without_memory_is_counted(hardware: Hardware) -> None:
    hardware.firmware = Firmware(executes_once=False)
    reply(hardware, command(cells=[1]))
    hardware.close_door(1)
    reply(hardware, command(cells=[1]))
    assert hardware.cells[1].door == "open"
    assert hardware.double_openings == 1


def test_the_stored_replies_survive_a_reboot_and_a_restart(
    hardware: Hardware, clock: Clock
) -> None:
    first = reply(hardware, command(cells=[1]))
    hardware.reboot()
    restarted = restart(hardware, clock)
    assert body(reply(restarted, command(cells=[1]))) == body(first)
    assert restarted.cells[1].openings == 1


def test_a_command_older_than_its_ttl_is_refused(hardware: Hardware, clock: Clock) -> None:
    clock.forward(15.1)
    assert body(reply(hardware, command(cells=[1]))) == {"command_id": "c-1", "status": "expired"}
    assert hardware.cells[1].door == "closed"


def test_firmware_that_ignores_the_ttl_opens_however_old_the_command(
    hardware: Hardware, clock: Clock
) -> None:
    hardware.firmware = Firmware(honours_ttl=False)
    clock.forward(7200)
    assert reply(hardware, command(cells=[1]))["status"] == "done"


def test_the_age_of_a_command_is_measured_by_the_cabinets_own_clock(hardware: Hardware) -> None:
    hardware.clock_skew_s = 60
    assert reply(hardware, command(cells=[1]))["status"] == "expired"


@pytest.mark.parametrize("reason", ["busy", "maintenance", "updating", "alarm"])
def test_a_refusing_cabinet_names_the_reason_and_opens_nothing(
    hardware: Hardware, reason: str
) -> None:
    hardware.firmware = Firmware(refuses=reason)
    message = reply(hardware, command(cells=[1]))
    assert (message["status"], message["reason"]) == ("rejected", reason)
    assert hardware.cells[1].door == "closed"


def test_a_refusing_cabinet_still_reports_its_state(hardware: Hardware) -> None:
    hardware.firmware = Firmware(refuses="maintenance")
    assert reply(hardware, command("report_state"))["type"] == "state_report"


def test_a_command_of_an_unknown_kind_is_acknowledged(hardware: Hardware) -> None:
    message = reply(hardware, command("set_charge_limit", limit=80))
    assert (message["status"], message["cells"]) == ("done", [])


def test_firmware_that_knows_only_its_own_commands_rejects_others(hardware: Hardware) -> None:
    hardware.firmware = Firmware(knows_all_commands=False)
    assert reply(hardware, command("set_charge_limit"))["reason"] == "unknown_command"


@pytest.mark.parametrize(
    "change",
    [
        {"cells": None},
        {"cells": ["1"]},
        {"cells": [True]},
        {"kind": 7},
        {"v": 2},
        {"issued_at": "yesterday"},
        {"issued_at": "2026-11-22T10:00:00"},
        {"ttl_s": "15"},
        {"ttl_s": None},
        {"kind": "report_state", "spread_s": "20"},
    ],
    ids=str,
)
def test_a_malformed_command_is_rejected_as_invalid(
    hardware: Hardware, change: dict[str, Any]
) -> None:
    assert reply(hardware, command(cells=[1]) | change)["reason"] == "invalid"


@pytest.mark.parametrize("asked", [None, [], "unlock", {}, {"command_id": 7}], ids=str)
def test_a_command_without_an_id_is_ignored(hardware: Hardware, asked: object) -> None:
    assert hardware.handle(asked) == []
    assert hardware.ignored_commands == 1


def test_firmware_may_open_another_cell_than_the_requested_one(hardware: Hardware) -> None:
    hardware.firmware = Firmware(substitutes={1: 2})
    [cell] = reply(hardware, command(cells=[1]))["cells"]
    assert (cell["cell_number"], cell["accumulator_id"]) == (2, "A-0002")
    assert hardware.cells[1].door == "closed"


def test_firmware_may_leave_a_cell_out_or_claim_another_result(hardware: Hardware) -> None:
    hardware.firmware = Firmware(claims={1: None, 2: "empty"})
    cells = reply(hardware, command(cells=[1, 2]))["cells"]
    assert [(cell["cell_number"], cell["result"]) for cell in cells] == [(2, "empty")]


def test_firmware_may_report_each_cell_in_a_result_of_its_own(hardware: Hardware) -> None:
    hardware.firmware = Firmware(answers="parts")
    parts = [reply.make() for reply in hardware.handle(command(cells=[1, 3]))]
    assert [part["cells"][0]["cell_number"] for part in parts] == [1, 3]
    assert [len(part["cells"]) for part in parts] == [1, 1]
    assert parts[0]["seq"] < parts[1]["seq"]


def test_firmware_may_answer_an_unlock_with_a_state_report(hardware: Hardware) -> None:
    hardware.firmware = Firmware(answers="report")
    answer = reply(hardware, command(cells=[1]))
    assert (answer["type"], answer["command_id"]) == ("state_report", "c-1")
    assert answer["cells"][0]["door"] == "open"


@pytest.mark.parametrize("lock", ["jammed", "stuck"])
def test_a_door_that_did_not_open_can_be_pulled_open_once(hardware: Hardware, lock: Any) -> None:
    hardware.firmware = Firmware(corrects=True)
    hardware.cells[1].lock = lock
    with pytest.raises(ActionImpossible):
        hardware.pull_open(1)
    reply(hardware, command(cells=[1]))
    hardware.pull_open(1)
    correction, event = hardware.poll_sensors()
    assert (correction["command_id"], correction["cells"][0]["result"]) == ("c-1", "opened")
    assert correction["cells"][0]["accumulator_id"] == "A-0001"
    assert event["cell"]["door"] == "open"
    hardware.close_door(1)
    with pytest.raises(ActionImpossible):
        hardware.pull_open(1)


def test_numbering_may_restart_wrap_or_stand_still(hardware: Hardware) -> None:
    boot_id = hardware.boot_id
    hardware.firmware = Firmware(numbering="restarts")
    hardware.reboot()
    assert (hardware.boot_id, hardware.state_report()["seq"]) == (boot_id, 1)
    hardware.firmware = Firmware(numbering="stands_still")
    assert [hardware.state_report()["seq"] for _ in range(2)] == [1, 1]
    hardware.firmware = Firmware(numbering="wraps")
    hardware.seq = 65_534
    assert [hardware.state_report()["seq"] for _ in range(3)] == [65_535, 0, 1]


def test_an_accumulator_may_report_its_id_in_lower_case(hardware: Hardware) -> None:
    hardware.cells[1].accumulator = Accumulator("A-0001", 97, lower_case=True)
    [cell] = reply(hardware, command(cells=[1]))["cells"]
    assert cell["accumulator_id"] == hardware.cell_event(1)["cell"]["accumulator_id"] == "a-0001"
