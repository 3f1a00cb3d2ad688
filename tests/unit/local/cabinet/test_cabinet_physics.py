"""The simulated cabinet does only what is physically possible, and loses no accumulator."""

import contextlib
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cabinet.hardware import Accumulator, ActionImpossible, Hardware, Message
from tests.unit.local.cabinet.native_v1_shapes import check_shape
from tests.unit.local.cabinet.small_cabinet import Clock, command, make_hardware, restart, sensed


def test_a_reboot_begins_a_new_boot(hardware: Hardware) -> None:
    before = hardware.hello()
    hardware.reboot()
    after = hardware.hello()
    check_shape(after)
    assert after["boot_id"] != before["boot_id"]
    assert (after["seq"], after["cells_total"]) == (1, 3)


def test_a_restart_keeps_the_physical_state_and_begins_a_new_boot(
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


def test_short_charging_times_add_up(hardware: Hardware) -> None:
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
def test_a_physically_impossible_action_is_refused_and_changes_nothing(
    attempt: Any, hardware: Hardware
) -> None:
    before = hardware.to_json()
    with pytest.raises(ActionImpossible):
        attempt(hardware)
    assert hardware.to_json() == before


def test_a_cell_holds_at_most_one_accumulator(hardware: Hardware) -> None:
    hardware.pry_open(1)
    with pytest.raises(ActionImpossible, match="already holds A-0001"):
        hardware.insert(1, Accumulator("A-0009"))


CELLS = st.integers(min_value=1, max_value=4)  # cell 4 does not exist
STEPS = st.one_of(
    st.tuples(st.sampled_from(["remove", "insert", "close_door", "pry_open", "jam"]), CELLS),
    st.tuples(st.just("unlock"), st.lists(CELLS, max_size=3)),
    st.tuples(st.sampled_from(["charge", "reboot", "report", "restart", "repeat"]), st.none()),
)


class Scenario:
    """One cabinet, a person with a bag, and a service that sends commands."""

    def __init__(self) -> None:
        self.hardware = make_hardware()
        self.bag: list[Accumulator] = []
        self.sent: list[Message] = []
        self.commands = 0

    def step(self, what: str, where: Any) -> None:
        actor = self if hasattr(self, what) else self.hardware
        with contextlib.suppress(ActionImpossible):
            getattr(actor, what)(*([where] if where else []))
        self.sent += self.hardware.poll_sensors()

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
        self.sent += [reply.make() for reply in self.hardware.handle(asked)]

    def charge(self) -> None:
        self.hardware.charge(1000)

    def report(self) -> None:
        self.sent.append(self.hardware.state_report())

    def restart(self) -> None:
        self.hardware = restart(self.hardware, Clock())


@given(st.lists(STEPS, max_size=30))
def test_random_actions_lose_no_accumulator_and_every_message_is_valid_and_in_order(
    steps: list[tuple[str, Any]],
) -> None:
    scenario = Scenario()
    for what, where in steps:
        scenario.step(what, where)
    inside = [cell.accumulator for cell in scenario.hardware.cells.values() if cell.accumulator]
    ids = Counter(one.accumulator_id for one in (*inside, *scenario.bag))
    assert ids == Counter(["A-0001", "A-0002"])
    for message in scenario.sent:
        check_shape(message)
    seqs: dict[str, list[int]] = {}
    for message in scenario.sent:
        seqs.setdefault(message["boot_id"], []).append(message["seq"])
    assert all(seq == sorted(set(seq)) for seq in seqs.values())
