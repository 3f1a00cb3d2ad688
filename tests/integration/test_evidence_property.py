"""Whatever hands, the network and time do, in whatever order: the audit holds, and evidence wins.

Commands and messages are lost, delayed, doubled and reordered. Once every cabinet has been asked
for its state, the records say of every cell what is physically in it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from local.cabinet.hardware import Accumulator, Hardware
from local.functions import FunctionPool
from shared import db
from shared.repo import stats
from tests.service import Message, Queue, Service, running

CABINETS = st.sampled_from(["C-1", "C-2"])
CONTRACTORS = st.sampled_from(["T-1", "T-2"])
FATES = st.sampled_from(["now", "now", "later", "later", "lost", "twice"])
"""What the network does with the messages that an action causes."""


class Watched(Service):
    """Remembers of each cell's door what the newest delivered message said, by the protocol."""

    def __init__(self, url: str, queue: Queue, pool: FunctionPool) -> None:
        super().__init__(url, queue, pool)
        self.boots: dict[str, list[str]] = {}
        self.newest: dict[tuple[str, int], tuple[tuple[int, int], str | None]] = {}
        """(position, door); no door where a command's result was the newest."""

    def deliver(self, *messages: tuple[str, Message | bytes], event_id: str = "") -> Any:
        for cabinet_id, message in messages:
            assert isinstance(message, dict)
            self._watch(cabinet_id, message)
        return super().deliver(*messages, event_id=event_id)

    def _watch(self, cabinet_id: str, message: Message) -> None:
        boots = self.boots.setdefault(cabinet_id, [])
        if message["boot_id"] not in boots:
            boots.append(message["boot_id"])
        position = boots.index(message["boot_id"]), message["seq"]
        is_result = message["type"] == "command_result"
        if position[0] + 1 < len(boots) and not is_result:
            return  # of an older generation
        for cell in message.get("cells", [message["cell"]] if "cell" in message else []):
            key = cabinet_id, cell["cell_number"]
            if key not in self.newest or position > self.newest[key][0]:
                self.newest[key] = position, None if is_result else cell["door"]


@pytest.fixture
def quick_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.02") as service:
        yield Watched(service.url, service.queue, service.pool)


def test_the_audit_holds_in_any_order_and_reports_restore_the_truth(
    quick_service: Watched,
) -> None:
    class Here(Field):
        service = quick_service

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=9,
            stateful_step_count=30,
            derandomize=True,
            phases=[Phase.generate],  # shrinking takes longer than a test may
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


class Field(RuleBasedStateMachine):
    """Two cabinets of three cells, two contractors with bags, one scooter, a bad network."""

    service: Watched

    def __init__(self) -> None:
        super().__init__()
        self.bags: dict[str, list[Accumulator]] = {"T-1": [], "T-2": []}
        self.bookings: list[Any] = []
        self.on_the_way: list[tuple[str, Message]] = []
        self._begin()

    def _begin(self) -> None:
        tables = "cabinets, accumulators, movements, bookings, commands, anomalies"
        self.service.sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        for remembered in (self.service.cabinets, self.service.boots, self.service.newest):
            remembered.clear()
        self.service.add_cabinet("C-1", charges=[95, 90], cells=3)
        self.service.add_cabinet("C-2", charges=[99], cells=3)
        for contractor_id, bag in self.bags.items():
            bag.append(Accumulator(f"of-{contractor_id}", 50))

    # --- the backend --------------------------------------------------------------------------

    @rule(
        cabinet_id=CABINETS,
        contractor_id=CONTRACTORS,
        kind=st.sampled_from(["issue", "issue", "return"]),
        count=st.integers(1, 2),
    )
    def book(self, cabinet_id: str, contractor_id: str, kind: str, count: int) -> None:
        wanted = {"cabinet_id": cabinet_id, "contractor_id": contractor_id}
        body = {**wanted, "kind": kind, "count": count, "allow_partial": True}
        answer = self.service.call("POST", "/v1/bookings", body)
        assert answer.status in {201, 409}, answer
        self.bookings += [answer.body] if answer.status == 201 else []

    @rule(which=st.integers(0, 2), reached=st.booleans(), fate=FATES)
    def unlock(self, *, which: int, reached: bool, fate: str) -> None:
        if which < len(self.bookings):
            self.service.lose_commands = not reached
            answer = self._do(fate, lambda: self.service.unlock(self.bookings[-1 - which]))
            self.service.lose_commands = False
            assert answer.status in {200, 409, 504}, answer

    @rule(which=st.integers(0, 2))
    def cancel(self, which: int) -> None:
        if which < len(self.bookings):
            path = f"/v1/bookings/{self.bookings[-1 - which]['booking_id']}"
            assert self.service.call("DELETE", path).status in {200, 409}

    @rule(contractor_id=CONTRACTORS, told=st.booleans())
    def swap(self, *, contractor_id: str, told: bool) -> None:
        if bag := self.bags[contractor_id]:
            installed = bag.pop(0)
            body = {"scooter_id": "S-1", "contractor_id": contractor_id, "reconcile": True}
            if told:
                ids = {"installed_accumulator_id": installed.accumulator_id}
                assert self.service.call("POST", "/v1/swaps", body | ids).status == 200

    @rule(fate=FATES)
    def poll(self, fate: str) -> None:
        self._do(fate, self.service.poll)

    @rule(seconds=st.sampled_from([20, 700, 2000]))
    def let_time_pass(self, seconds: int) -> None:
        self.service.later(seconds)

    # --- hands --------------------------------------------------------------------------------

    @rule(data=st.data(), cabinet_id=CABINETS, contractor_id=CONTRACTORS, deeds=st.integers(1, 5))
    def use_hands(self, data: Any, cabinet_id: str, contractor_id: str, deeds: int) -> None:
        bag = self.bags[contractor_id]
        for _ in range(deeds):
            possible = list(feasible(self.service.cabinets[cabinet_id], bag))
            deed, cell = data.draw(st.sampled_from(possible))
            self._do(
                data.draw(FATES),
                lambda: self.service.act(cabinet_id, lambda h: handle(h, bag, deed, cell)),  # noqa: B023 - called at once
            )

    @rule(cabinet_id=CABINETS)
    def mend(self, cabinet_id: str) -> None:
        for number in self.service.cabinets[cabinet_id].cells:
            path = f"/v1/cabinets/{cabinet_id}/cells/{number}"
            self.service.patch(path, {"health": "ok", "reason": "looked at"})

    @rule(cabinet_id=CABINETS, fate=FATES)
    def report(self, cabinet_id: str, fate: str) -> None:
        self._do(fate, lambda: self.service.report(cabinet_id))

    @rule(cabinet_id=CABINETS, fate=FATES)
    def reboot(self, cabinet_id: str, fate: str) -> None:
        hardware = self.service.cabinets[cabinet_id]
        hardware.reboot()
        self.service.say(cabinet_id, hardware.hello())
        self._do(fate, lambda: self.service.report(cabinet_id))

    # --- the network --------------------------------------------------------------------------

    @rule(data=st.data())
    def late_messages_arrive(self, data: Any) -> None:
        order = data.draw(st.permutations(self.on_the_way))
        self.on_the_way = []
        self.service.deliver(*order)

    def _do(self, fate: str, action: Callable[[], Any]) -> Any:
        self.service.hold_messages = fate != "now"
        result = action()
        self.service.hold_messages = False
        said, self.service.waiting = self.service.waiting, []
        if fate == "later":
            self.on_the_way += said
        elif fate == "twice":
            self.service.deliver(*said, *said)
        return result

    # --- what must hold -----------------------------------------------------------------------

    @invariant()
    def the_audit_holds(self) -> None:
        with db.statements() as tx:
            assert stats.violations(tx) == []

    @invariant()
    def nobody_gets_more_than_was_booked(self) -> None:
        with db.statements() as tx:
            assert not tx.all(
                """SELECT booking_id FROM bookings b JOIN booking_cells h USING (booking_id)
                    WHERE h.state IN ('opened', 'inserted')
                    GROUP BY b.booking_id HAVING count(*) > b.requested"""
            )

    @invariant()
    def no_older_message_has_overwritten_a_newer_one(self) -> None:
        with db.statements() as tx:
            rows = tx.all("SELECT cabinet_id, cell_number, door FROM cells")
        doors = {(row["cabinet_id"], row["cell_number"]): row["door"] for row in rows}
        for cell, (_, door) in self.service.newest.items():
            assert door is None or doors[cell] == door

    def teardown(self) -> None:
        """Everything still on its way arrives, all doors are closed, and the poll asks twice."""
        self.service.deliver(*self.on_the_way)
        for hardware in self.service.cabinets.values():
            for cell in hardware.cells.values():
                cell.door = "closed"
            hardware.noticed()
        self.service.poll()
        self.service.poll()
        assert self._recorded() == self._physical()
        self.the_audit_holds()

    def _physical(self) -> dict[tuple[str, int], str]:
        return {
            (cabinet_id, cell.cell_number): cell.accumulator.accumulator_id
            for cabinet_id, hardware in self.service.cabinets.items()
            for cell in hardware.cells.values()
            if cell.accumulator is not None
        }

    def _recorded(self) -> dict[tuple[str, int], str]:
        rows = self.service.sql("SELECT * FROM accumulators WHERE cabinet_id IS NOT NULL")
        return {(row["cabinet_id"], row["cell_number"]): row["accumulator_id"] for row in rows}


def feasible(hardware: Hardware, bag: list[Accumulator]) -> Iterator[tuple[str, int]]:
    """What hands can do at a cabinet: the deed, and the cell."""
    for number, cell in hardware.cells.items():
        if cell.door == "closed":
            yield "pry", number
            continue
        yield "close", number
        if cell.accumulator:
            yield "take", number
        elif bag:
            yield "insert", number


def handle(hardware: Hardware, bag: list[Accumulator], deed: str, cell: int) -> None:
    match deed:
        case "pry":
            hardware.pry_open(cell)
        case "take":
            bag.append(hardware.remove(cell))
        case "insert":
            hardware.insert(cell, bag.pop(0))
        case _:
            hardware.close_door(cell)
