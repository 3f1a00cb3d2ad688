"""The control interface performs every action, and refuses an invalid one with one line."""

import argparse
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from local.cabinet.actions import ACTIONS
from local.cabinet.command_line import add_commands, run
from local.cabinet.control import Control, ControlError, ControlServer
from local.cabinet.fleet import Fleet
from local.cabinet.hardware import Cell


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(2, 12)


@pytest.fixture
def server(fleet: Fleet) -> Iterator[ControlServer]:
    server = ControlServer(fleet)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def control(server: ControlServer) -> Control:
    return Control(server.url)


def command_line(control: Control, line: list[str]) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_commands(commands.add_parser("cabinet"))
    return run(parser.parse_args(["cabinet", *line]), control)


def cell(fleet: Fleet, number: int) -> Cell:
    return fleet.by_id["C-001"].hardware.cells[number]


def filled(fleet: Fleet) -> int:
    cells = fleet.by_id["C-001"].hardware.cells.values()
    return next(cell.cell_number for cell in cells if cell.accumulator)


def test_cabinets_are_listed(control: Control) -> None:
    assert control.cabinets() == [
        {
            "cabinet_id": cabinet_id,
            "online": False,
            "cells": 12,
            "accumulators": 8,
            "open_doors": [],
        }
        for cabinet_id in ("C-001", "C-002")
    ]


def test_the_control_interface_shows_the_physical_state_even_if_a_sensor_is_wrong(
    fleet: Fleet, control: Control
) -> None:
    number = filled(fleet)
    control.act("C-001", "sense", cell=number, field="accumulator_id", value="null")
    shown = control.cabinet("C-001")["cells"][number - 1]
    inside = cell(fleet, number).accumulator
    assert inside is not None
    assert shown["accumulator"]["accumulator_id"] == inside.accumulator_id
    assert shown["senses"] == {"accumulator_id": None}
    assert cell(fleet, number).sensor_readings()["accumulator_id"] is None


def test_a_technician_can_take_and_return_an_accumulator(fleet: Fleet, control: Control) -> None:
    number = filled(fleet)
    control.act("C-001", "pry", cell=number)
    message = control.act("C-001", "take", cell=number, by="T-7")
    [carried] = control.cabinet("C-001")["bags"]["T-7"]
    assert carried in message
    control.act("C-001", "insert", cell=number, accumulator=carried, by="T-7", charge=12)
    control.act("C-001", "close", cell=number)
    again = cell(fleet, number)
    assert again.accumulator is not None
    assert (again.accumulator.battery_charge, again.door) == (12, "closed")
    assert control.cabinet("C-001")["bags"] == {"T-7": []}


@pytest.mark.parametrize(
    ("lines", "name", "value"),
    [
        ("jam 5", "lock", "jammed"),
        ("jam 5 stuck", "lock", "stuck"),
        ("jam 5, unjam 5", "lock", "ok"),
        ("fault 5 lock", "fault", "lock"),
        ("fault 5 lock, fault 5", "fault", None),
        ("disable 5", "disabled", True),
        ("disable 5, disable 5 --over", "disabled", False),
        ("pry 5", "door", "open"),
        ("pry 5, close 5", "door", "closed"),
        ("sense 5 door unknown", "senses", {"door": "unknown"}),
        ("sense 5 battery_charge 255", "senses", {"battery_charge": 255}),
        ("sense 5 door unknown, sense 5 door", "senses", {}),
    ],
)
def test_the_command_line_changes_a_cell(
    fleet: Fleet, control: Control, lines: str, name: str, value: object
) -> None:
    for line in lines.split(", "):
        assert command_line(control, ["C-001", *line.split()]) == 0
    assert getattr(cell(fleet, 5), name) == value


def test_the_command_line_changes_a_cabinet(fleet: Fleet, control: Control) -> None:
    device = fleet.by_id["C-001"]
    lines = (
        ["alarm", "smoke"],
        ["clock", "90"],
        ["firmware", "refuses", "busy"],
        ["firmware", "executes_once", "false"],
        ["firmware", "substitutes", '{"3": 4}'],
        ["answer", "late", "7"],
        ["charge", "600"],
    )
    for line in lines:
        assert command_line(control, ["C-001", *line]) == 0
    assert device.hardware.alarms == {"smoke"}
    assert device.hardware.clock_skew_s == 90
    assert device.hardware.firmware.refuses == "busy"
    assert not device.hardware.firmware.executes_once
    assert device.hardware.firmware.substitutes == {3: 4}
    assert (device.reply_mode, device.reply_delay_s) == ("once", 7)
    inside = cell(fleet, filled(fleet)).accumulator
    assert inside is not None
    assert inside.battery_charge == 100


def test_replies_can_be_set_back_to_normal(fleet: Fleet, control: Control) -> None:
    device = fleet.by_id["C-001"]
    for how in ("late", "twice", "never", "corrupt", "foreign", "deaf", "normal"):
        assert command_line(control, ["C-001", "answer", how]) == 0
    assert (device.reply_mode, device.reply_delay_s) == ("once", 0)


def test_show_draws_the_cells(
    fleet: Fleet, control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    number = filled(fleet)
    inside = cell(fleet, number).accumulator
    assert inside is not None
    control.act("C-001", "jam", cell=number)
    assert command_line(control, ["C-001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("C-001  offline  replies: once  alarms: none")
    [row] = [line for line in lines if line.split()[:1] == [str(number)]]
    charge = f"{inside.battery_charge} %"
    assert row.split(maxsplit=5)[1:3] == ["closed", inside.accumulator_id]
    assert charge in row
    assert row.endswith("lock jammed")


def test_all_cabinets_are_listed(control: Control, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(control, ["all"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "cabinet",
        "C-001",
        "C-002",
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["C-009", "show"], "there is no cabinet C-009"),
        (["C-001", "close", "99"], "C-001 has no cell 99"),
        (["C-001", "close", "3"], "the door of cell 3 is closed"),
        (["C-001", "firmware", "nonsense", "1"], "there is no switch nonsense"),
        (["C-001", "firmware", "omits", "7"], "omits"),
        (["C 1/..", "close", "3"], "there is no cabinet C 1/.."),
    ],
    ids=str,
)
def test_a_wrong_request_gets_one_line_and_exit_code_2(
    control: Control, line: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(control, line) == 2
    printed = capsys.readouterr().err
    assert complaint in printed
    assert printed.count("\n") == 1


def test_an_invalid_argument_gets_exit_code_2(
    control: Control, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        command_line(control, ["C-001", "close", "three"])
    assert exit_.value.code == 2
    assert "invalid int value: 'three'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/cabinets/C-001/close", "{", 400),
        ("POST", "/cabinets/C-001/close", "[3]", 400),
        ("POST", "/cabinets/C-001/close", "{}", 400),
        ("POST", "/cabinets/C-001/close", '{"cell": "three"}', 400),
        ("POST", "/cabinets/C-001/close", '{"cell": 3, "why": 1}', 400),
        ("POST", "/cabinets/C-001/answer", '{"how": "rudely"}', 400),
        ("POST", "/cabinets/C-001/close", '{"cell": 3}', 409),
        ("POST", "/cabinets/C-001/explode", "{}", 404),
        ("POST", "/cabinets/C-009/close", '{"cell": 3}', 404),
        ("GET", "/", None, 404),
    ],
)
def test_a_wrong_http_request_gets_one_line(
    server: ControlServer, method: str, path: str, body: str | None, status: int
) -> None:
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request(method, path, body)
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    connection.close()
    assert response.status == status
    assert "\n" not in error


def test_a_stack_that_is_not_running_is_reported_in_one_line(server: ControlServer) -> None:
    server.stop()
    with pytest.raises(ControlError, match="no running stack answers at") as refusal:
        Control(server.url).cabinets()
    assert "\n" not in str(refusal.value)


def test_the_help_describes_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="cabinet")
    add_commands(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = capsys.readouterr().out
    assert all(re.search(rf"\n    {name}\s+[A-Z]", text) for name in ("show", *ACTIONS))


def test_an_action_can_be_performed_on_all_cabinets(fleet: Fleet, control: Control) -> None:
    assert command_line(control, ["all", "alarm", "smoke"]) == 0
    assert [device.hardware.alarms for device in fleet.by_id.values()] == [{"smoke"}] * 2
