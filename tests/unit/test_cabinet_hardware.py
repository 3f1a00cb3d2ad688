"""The simulated cabinet speaks native.v1 as docs/protocol.md has it, and obeys physics."""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cabinet.hardware import Accumulator, Cell, Firmware, Hardware, Impossible, Message

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
DICE = random.Random(1)  # noqa: S311 nothing secret

# Written from the protocol's page by hand, not from shared.messages: a second reading of it.
PERCENT_OR_UNKNOWN = {"type": ["integer", "null"], "minimum": 0, "maximum": 100}
ACCUMULATOR_ID = {"type": ["string", "null"], "minLength": 1}
CELL_NUMBER = {"type": "integer", "minimum": 1}
CELL = {
    "type": "object",
    "required": ["cell_number", "door", "accumulator_id"],
    "properties": {
        "cell_number": CELL_NUMBER,
        "door": {"enum": ["open", "closed", "unknown"]},
        "accumulator_id": ACCUMULATOR_ID,
        "battery_charge": PERCENT_OR_UNKNOWN,
        "state_of_health": PERCENT_OR_UNKNOWN,
        "charging": {"type": "boolean"},
        "temperature_c": {"type": "number"},
        "fault": {"type": "string"},
    },
    "additionalProperties": False,
}
FAILURES = ["jammed", "not_detected", "empty", "occupied", "faulty", "disabled", "unknown_cell"]
RESULTS = ["opened", "locked", *FAILURES]
REASONS = ["busy", "maintenance", "updating", "alarm", "unknown_command", "invalid"]
ENVELOPE = {
    "v": {"const": 1},
    "boot_id": {"type": "string", "minLength": 1, "maxLength": 64},
    "seq": {"type": "integer", "minimum": 1},
    "sent_at": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
}
FIELDS: dict[str, dict[str, Any]] = {
    "command_result": {
        "command_id": {"type": "string"},
        "status": {"enum": ["done", "rejected", "expired"]},
        "reason": {"enum": REASONS},
        "cells": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["cell_number", "result"],
                "properties": {
                    "cell_number": CELL_NUMBER,
                    "result": {"enum": RESULTS},
                    "accumulator_id": ACCUMULATOR_ID,
                    "battery_charge": PERCENT_OR_UNKNOWN,
                },
                "additionalProperties": False,
            },
        },
    },
    "state_report": {
        "command_id": {"type": "string"},
        "alarms": {"type": "array", "items": {"type": "string"}},
        "cells": {"type": "array", "items": CELL},
    },
    "cell_event": {"cell": CELL},
    "hello": {"firmware": {"type": "string"}, "cells_total": {"type": "integer"}},
}
OPTIONAL = {"reason", "cells", "command_id"}


def check_shape(message: Message) -> None:
    """Fail unless the message is one of the protocol's four, exactly."""
    fields = {**ENVELOPE, "type": {"type": "string"}, **FIELDS[message["type"]]}
    required = set(fields) - (OPTIONAL if message["type"] == "command_result" else {"command_id"})
    if message["type"] == "command_result":
        required |= {"command_id"} | ({"reason"} if message["status"] == "rejected" else {"cells"})
        required -= {"cells"} if message["status"] == "expired" else set()
    shape = {"type": "object", "required": sorted(required), "properties": fields}
    jsonschema.validate(json.loads(json.dumps(message)), shape | {"additionalProperties": False})


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_hardware(now: Clock | None = None) -> Hardware:
    """Three cells: a charged accumulator, a flat one, none."""
    cells = [
        Cell(1, Accumulator("A-0001", 97, 95)),
        Cell(2, Accumulator("A-0002", 12, 90)),
        Cell(3),
    ]
    return Hardware("C-001", cells, now=now or Clock(), rng=DICE)


@pytest.fixture
def hardware(clock: Clock) -> Hardware:
    return make_hardware(clock)


def restart(hardware: Hardware, now: Clock) -> Hardware:
    """Write the hardware down and make it anew, as a restart of the local cloud does."""
    return Hardware.from_json(json.loads(json.dumps(hardware.to_json())), now=now, rng=DICE)


def command(kind: str = "unlock", command_id: str = "c-1", **fields: Any) -> Message:
    common = {"v": 1, "command_id": command_id, "issued_at": "2026-11-22T10:00:00.000Z"}
    return {**common, "kind": kind, "ttl_s": 15, **fields}


def answer(hardware: Hardware, asked: object) -> Message:
    """Give a command; return its only answer, which has to have the protocol's shape."""
    [reply] = hardware.handle(asked)
    message = reply.make()
    check_shape(message)
    return message


def body(message: Message) -> Mapping[str, Any]:
    return {key: value for key, value in message.items() if key not in {*ENVELOPE, "type"}}


def sensed(hardware: Hardware, cell_number: int) -> Message:
    message = hardware.state_report()
    cell: Message = message["cells"][cell_number - 1]
    return cell


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


def test_report_state_asked_of_one_cabinet_is_answered_at_once(hardware: Hardware) -> None:
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


def test_a_delayed_report_tells_the_state_of_the_moment_it_is_sent(hardware: Hardware) -> None:
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
def test_a_sensor_may_report_nonsense(hardware: Hardware, charge: object) -> None:
    hardware.cells[1].senses["battery_charge"] = charge
    assert sensed(hardware, 1)["battery_charge"] == charge


def test_an_unknown_charge_is_reported_as_null(hardware: Hardware) -> None:
    hardware.pry_open(3)
    hardware.insert(3, Accumulator("A-0009"))
    assert sensed(hardware, 3)["battery_charge"] is None


def test_what_hands_do_is_told_cell_by_cell(hardware: Hardware) -> None:
    answer(hardware, command(cells=[1]))
    assert hardware.noticed() == []  # the answer has told it
    hardware.remove(1)
    [removed] = hardware.noticed()
    hardware.close_door(1)
    [closed] = hardware.noticed()
    for message in (removed, closed):
        check_shape(message)
    assert (removed["cell"]["door"], removed["cell"]["accumulator_id"]) == ("open", None)
    assert (closed["cell"]["door"], closed["cell"]["accumulator_id"]) == ("closed", None)


def test_what_the_sensors_do_not_see_is_not_told(hardware: Hardware) -> None:
    hardware.cells[1].senses["accumulator_id"] = "A-0001"
    hardware.pry_open(1)
    hardware.noticed()
    hardware.remove(1)
    assert hardware.noticed() == []


def test_a_break_in_is_told_as_an_open_door_without_a_command(hardware: Hardware) -> None:
    hardware.pry_open(2)
    [message] = hardware.noticed()
    assert (message["type"], message["cell"]["door"]) == ("cell_event", "open")


def test_an_alarm_is_told_by_a_state_report(hardware: Hardware) -> None:
    hardware.alarms.add("smoke")
    [message] = hardware.noticed()
    assert (message["type"], message["alarms"]) == ("state_report", ["smoke"])


def test_a_reboot_begins_a_new_generation(hardware: Hardware) -> None:
    before = hardware.hello()
    hardware.reboot()
    after = hardware.hello()
    check_shape(after)
    assert after["boot_id"] != before["boot_id"]
    assert (after["seq"], after["cells_total"]) == (1, 3)


def test_a_restart_keeps_the_physical_state_and_begins_a_new_generation(
    hardware: Hardware, clock: Clock
) -> None:
    hardware.pry_open(1)
    hardware.cells[2].lock = "jammed"
    hardware.cells[3].senses["door"] = "unknown"
    hardware.alarms.add("smoke")
    restarted = restart(hardware, clock)
    assert restarted.cells == hardware.cells
    assert restarted.alarms == {"smoke"}
    assert restarted.boot_id != hardware.boot_id


def test_only_a_closed_cell_charges_and_never_beyond_full(hardware: Hardware) -> None:
    hardware.pry_open(2)
    hardware.charge(3600)
    charges = [
        cell.accumulator and cell.accumulator.battery_charge for cell in hardware.cells.values()
    ]
    assert charges == [100, 12, None]


def test_short_times_of_charging_add_up(hardware: Hardware) -> None:
    for _ in range(3):
        hardware.charge(50)
    assert sensed(hardware, 2)["battery_charge"] == 13


@pytest.mark.parametrize(
    "attempt",
    [
        lambda hardware: hardware.remove(1),  # closed
        lambda hardware: hardware.insert(3, Accumulator("A-0009")),  # closed
        lambda hardware: hardware.close_door(1),  # closed already
        lambda hardware: hardware.cell(9),
    ],
)
def test_what_is_physically_impossible_is_refused(attempt: Any, hardware: Hardware) -> None:
    before = hardware.to_json()
    with pytest.raises(Impossible):
        attempt(hardware)
    assert hardware.to_json() == before


def test_a_cell_holds_at_most_one_accumulator(hardware: Hardware) -> None:
    hardware.pry_open(1)
    with pytest.raises(Impossible, match="already holds A-0001"):
        hardware.insert(1, Accumulator("A-0009"))


CELLS = st.integers(min_value=1, max_value=4)  # the fourth does not exist
STEPS = st.one_of(
    st.tuples(st.sampled_from(["remove", "insert", "close_door", "pry_open", "jam"]), CELLS),
    st.tuples(st.just("unlock"), st.lists(CELLS, max_size=3)),
    st.tuples(st.sampled_from(["charge", "reboot", "report", "restart", "repeat"]), st.none()),
)


class Play:
    """A person with a bag and a service with commands, playing with one cabinet."""

    def __init__(self) -> None:
        self.hardware = make_hardware()
        self.bag: list[Accumulator] = []
        self.said: list[Message] = []
        self.commands = 0

    def step(self, what: str, where: Any) -> None:
        actor = self if hasattr(self, what) else self.hardware
        with contextlib.suppress(Impossible):
            getattr(actor, what)(*([where] if where else []))
        self.said += self.hardware.noticed()

    def remove(self, cell_number: int) -> None:
        self.bag.append(self.hardware.remove(cell_number))

    def insert(self, cell_number: int) -> None:
        if self.bag:
            self.hardware.insert(cell_number, self.bag[0])
            self.bag.pop(0)

    def jam(self, cell_number: int) -> None:
        self.hardware.cell(cell_number).lock = "jammed"

    def unlock(self, cells: list[int] | None = None) -> None:
        self.commands += 1
        self.repeat(cells or [])

    def repeat(self, cells: list[int] | None = None) -> None:
        asked = command(cells=cells or [1], command_id=f"c-{self.commands}")
        self.said += [reply.make() for reply in self.hardware.handle(asked)]

    def charge(self) -> None:
        self.hardware.charge(1000)

    def report(self) -> None:
        self.said.append(self.hardware.state_report())

    def restart(self) -> None:
        self.hardware = restart(self.hardware, Clock())


@given(st.lists(STEPS, max_size=30))
def test_whatever_happens_accumulators_are_conserved_and_messages_well_formed_and_in_order(
    steps: list[tuple[str, Any]],
) -> None:
    play = Play()
    for what, where in steps:
        play.step(what, where)
    inside = [cell.accumulator for cell in play.hardware.cells.values() if cell.accumulator]
    ids = Counter(one.accumulator_id for one in (*inside, *play.bag))
    assert ids == Counter(["A-0001", "A-0002"])
    for message in play.said:
        check_shape(message)
    seqs: dict[str, list[int]] = {}
    for message in play.said:
        seqs.setdefault(message["boot_id"], []).append(message["seq"])
    assert all(seq == sorted(set(seq)) for seq in seqs.values())
