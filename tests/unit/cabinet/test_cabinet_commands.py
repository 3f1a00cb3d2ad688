"""The simulated cabinet obeys commands, or does not, as docs/protocol.md has it."""

from dataclasses import replace
from typing import Any

import pytest

from local.cabinet.hardware import Firmware, Hardware
from tests.unit.cabinet.small_cabinet import Clock, answer, body, command, restart


def test_unlock_opens_each_asked_cell_and_names_what_is_in_it(hardware: Hardware) -> None:
    assert body(answer(hardware, command(cells=[1, 3]))) == {
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
def test_a_cell_that_does_not_open_says_why(
    hardware: Hardware, broken: dict[str, Any], result: str, door: str
) -> None:
    hardware.cells[1] = replace(hardware.cells[1], **broken)
    message = answer(hardware, command(cells=[1]))
    assert message["cells"] == [{"cell_number": 1, "result": result}]
    assert hardware.cells[1].door == door


def test_some_cells_may_open_and_others_fail(hardware: Hardware) -> None:
    hardware.cells[2].lock = "jammed"
    cells = answer(hardware, command(cells=[1, 2, 9]))["cells"]
    assert [cell["result"] for cell in cells] == ["opened", "jammed", "unknown_cell"]


def test_a_cell_asked_for_twice_in_one_command_gets_one_pulse(hardware: Hardware) -> None:
    assert len(answer(hardware, command(cells=[1, 1]))["cells"]) == 1
    assert hardware.cells[1].openings == 1


def test_lock_needs_a_closed_door(hardware: Hardware) -> None:
    hardware.pry_open(2)
    cells = answer(hardware, command("lock", cells=[1, 2]))["cells"]
    assert [cell["result"] for cell in cells] == ["locked", "not_detected"]


def test_a_second_arrival_gets_the_stored_answer_and_opens_nothing(hardware: Hardware) -> None:
    first = answer(hardware, command(cells=[1]))
    hardware.close_door(1)
    second = answer(hardware, command(cells=[1]))
    assert body(second) == body(first)
    assert second["seq"] > first["seq"]
    assert (hardware.cells[1].door, hardware.cells[1].openings) == ("closed", 1)
    assert hardware.double_openings == 0


def test_firmware_without_memory_opens_again_and_that_is_counted(hardware: Hardware) -> None:
    hardware.firmware = Firmware(executes_once=False)
    answer(hardware, command(cells=[1]))
    hardware.close_door(1)
    answer(hardware, command(cells=[1]))
    assert hardware.cells[1].door == "open"
    assert hardware.double_openings == 1


def test_the_stored_answers_survive_a_reboot_and_a_restart(
    hardware: Hardware, clock: Clock
) -> None:
    first = answer(hardware, command(cells=[1]))
    hardware.reboot()
    restarted = restart(hardware, clock)
    assert body(answer(restarted, command(cells=[1]))) == body(first)
    assert restarted.cells[1].openings == 1


def test_a_command_older_than_its_ttl_is_refused(hardware: Hardware, clock: Clock) -> None:
    clock.forward(15.1)
    assert body(answer(hardware, command(cells=[1]))) == {"command_id": "c-1", "status": "expired"}
    assert hardware.cells[1].door == "closed"


def test_firmware_that_ignores_the_ttl_opens_however_old_the_command(
    hardware: Hardware, clock: Clock
) -> None:
    hardware.firmware = Firmware(honours_ttl=False)
    clock.forward(7200)
    assert answer(hardware, command(cells=[1]))["status"] == "done"


def test_the_ttl_is_judged_by_the_cabinets_own_clock(hardware: Hardware) -> None:
    hardware.clock_skew_s = 60
    assert answer(hardware, command(cells=[1]))["status"] == "expired"


@pytest.mark.parametrize("reason", ["busy", "maintenance", "updating", "alarm"])
def test_a_cabinet_that_refuses_says_why_and_opens_nothing(hardware: Hardware, reason: str) -> None:
    hardware.firmware = Firmware(refuses=reason)
    message = answer(hardware, command(cells=[1]))
    assert (message["status"], message["reason"]) == ("rejected", reason)
    assert hardware.cells[1].door == "closed"


def test_a_refusing_cabinet_still_reports_its_state(hardware: Hardware) -> None:
    hardware.firmware = Firmware(refuses="maintenance")
    assert answer(hardware, command("report_state"))["type"] == "state_report"


def test_a_command_of_an_unknown_kind_is_acknowledged(hardware: Hardware) -> None:
    message = answer(hardware, command("set_charge_limit", limit=80))
    assert (message["status"], message["cells"]) == ("done", [])


def test_firmware_that_knows_only_its_own_commands_rejects_others(hardware: Hardware) -> None:
    hardware.firmware = Firmware(knows_all_commands=False)
    assert answer(hardware, command("set_charge_limit"))["reason"] == "unknown_command"


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
    assert answer(hardware, command(cells=[1]) | change)["reason"] == "invalid"


@pytest.mark.parametrize("asked", [None, [], "unlock", {}, {"command_id": 7}], ids=str)
def test_a_command_without_an_id_cannot_be_answered(hardware: Hardware, asked: object) -> None:
    assert hardware.handle(asked) == []
    assert hardware.ignored == 1


def test_firmware_may_open_another_cell_than_the_one_asked_for(hardware: Hardware) -> None:
    hardware.firmware = Firmware(substitutes={1: 2})
    [cell] = answer(hardware, command(cells=[1]))["cells"]
    assert (cell["cell_number"], cell["accumulator_id"]) == (2, "A-0002")
    assert hardware.cells[1].door == "closed"


def test_firmware_may_leave_a_cell_out_or_claim_another_result(hardware: Hardware) -> None:
    hardware.firmware = Firmware(claims={1: None, 2: "empty"})
    cells = answer(hardware, command(cells=[1, 2]))["cells"]
    assert [(cell["cell_number"], cell["result"]) for cell in cells] == [(2, "empty")]
