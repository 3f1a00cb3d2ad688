"""Random bookings, manual actions and network faults: no invariant breaks, and newer evidence wins.

Commands and messages are lost, delayed, duplicated and reordered. When every cabinet has reported
its state, the records match what is physically in each cell.
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
from tests.support.service import Message, Queue, Service, running

CABINETS = st.sampled_from(["C-1", "C-2"])
CONTRACTORS = st.sampled_from(["T-1", "T-2"])
FATES = st.sampled_from(["now", "now", "later", "later", "lost", "twice"])
"""What the network does with the messages that an action causes."""


class WatchedService(Service):
    """The service, with each cell's door as the newest delivered message reports it."""

    def __init__(self, url: str, queue: Queue, pool: FunctionPool) -> None:
        super().__init__(url, queue, pool)
        self.boots: dict[str, list[str]] = {}
        self.newest: dict[tuple[str, int], tuple[tuple[int, int], str | None]] = {}
        """Position and door; no door if the newest message is a command's result."""

    def deliver(self, *messages: tuple[str, Message | bytes], **options: Any) -> Any:
        for cabinet_id, message in messages:
            assert isinstance(message, dict)
            self._watch(cabinet_id, message)
        return super().deliver(*messages, **options)

    def _watch(self, cabinet_id: str, message: Message) -> None:
        boots = self.boots.setdefault(cabinet_id, [])
        if message["boot_id"] not in boots:
            boots.append(message["boot_id"])
        position = boots.index(message["boot_id"]), message["seq"]
        is_result = message["type"] == "command_result"
        if position[0] + 1 < len(boots) and not is_result:
            return  # of an older boot
        for cell in message.get("cells", [message["cell"]] if "cell" in message else []):
            key = cabinet_id, cell["cell_number"]
            if key not in self.newest or position > self.newest[key][0]:
                self.newest[key] = position, None if is_result else cell["door"]


@pytest.fixture
def quick_service(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedService]:
    with running(database_url, monkeypatch, UNLOCK_WAIT_SECONDS="0.02") as service:
        yield WatchedService(service.url, service.queue, service.pool)


@pytest.mark.slow
def test_random_actions_break_no_invariant_and_reports_restore_the_truth(
    quick_service: WatchedService,
) -> None:
    class Machine(RandomActions):
        service = quick_service

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=9,
            stateful_step_count=30,
            derandomize=True,
            phases=[Phase.generate],  # shrinking would exceed the time limit of a test
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


class RandomActions(RuleBasedStateMachine):
    """Two cabinets of three cells, two contractors with bags, one scooter, a faulty network."""

    service: WatchedService

    def __init__(self) -> None:
        super().__init__()
        self.bags: dict[str, list[Accumulator]] = {"T-1": [], "T-2": []}
        self.bookings: list[Any] = []
        self.in_transit: list[tuple[str, Message]] = []
        self._begin()

    def _begin(self) -> None:
        tables = "cabinets, accumulators, movements, bookings, commands, anomalies"
        self.service.sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        for kept in (self.service.cabinets, self.service.boots, self.service.newest):
            kept.clear()
        self.service.add_cabinet("C-1", charges=[95, 90], cells=3)
        self.service.add_cabinet("C-2", charges=[99], cells=3)
        for contractor_id, bag in self.bags.items():
            bag.append(Accumulator(f"OF-{contractor_id}", 50))

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
        response = self.service.call("POST", "/v1/bookings", body)
        assert response.status in {201, 409}, response
        self.bookings += [response.body] if response.status == 201 else []

    @rule(which=st.integers(0, 2), reached=st.booleans(), fate=FATES)
    def unlock(self, *, which: int, reached: bool, fate: str) -> None:
        if which < len(self.bookings):
            self.service.lose_commands = not reached
            response = self._do(fate, lambda: self.service.unlock(self.bookings[-1 - which]))
            self.service.lose_commands = False
            assert response.status in {200, 409, 504}, response

    @rule(which=st.integers(0, 2))
    def cancel(self, which: int) -> None:
        if which < len(self.bookings):
            path = f"/v1/bookings/{self.bookings[-1 - which]['booking_id']}"
            assert self.service.call("DELETE", path).status in {200, 409}

    @rule(contractor_id=CONTRACTORS, reported=st.booleans())
    def swap(self, *, contractor_id: str, reported: bool) -> None:
        if bag := self.bags[contractor_id]:
            installed = bag.pop(0)
            body = {"scooter_id": "S-1", "contractor_id": contractor_id, "reconcile": True}
            if reported:
                ids = {"installed_accumulator_id": installed.accumulator_id}
                assert self.service.call("POST", "/v1/swaps", body | ids).status == 200

    @rule(contractor_id=CONTRACTORS, reported=st.booleans())
    def hand_over(self, *, contractor_id: str, reported: bool) -> None:
        other_id = "T-2" if contractor_id == "T-1" else "T-1"
        given, self.bags[contractor_id] = self.bags[contractor_id], []
        self.bags[other_id] += given
        if given and reported:
            body = {
                "from_contractor_id": contractor_id,
                "to_contractor_id": other_id,
                "accumulator_ids": [accumulator.accumulator_id for accumulator in given],
                "reconcile": True,
            }
            assert self.service.call("POST", "/v1/transfers", body).status == 200

    @rule(fate=FATES)
    def poll(self, fate: str) -> None:
        self._do(fate, self.service.poll)

    @rule(seconds=st.sampled_from([20, 700, 2000]))
    def let_time_pass(self, seconds: int) -> None:
        self.service.advance_time(seconds)

    # --- people at the cabinets ---------------------------------------------------------------

    @rule(data=st.data(), cabinet_id=CABINETS, contractor_id=CONTRACTORS, count=st.integers(1, 5))
    def handle_cabinet(self, data: Any, cabinet_id: str, contractor_id: str, count: int) -> None:
        bag = self.bags[contractor_id]
        for _ in range(count):
            possible = list(possible_actions(self.service.cabinets[cabinet_id], bag))
            action, cell = data.draw(st.sampled_from(possible))
            self._do(
                data.draw(FATES),
                lambda: self.service.act(cabinet_id, lambda h: perform(h, bag, action, cell)),  # noqa: B023 - called at once
            )

    @rule(cabinet_id=CABINETS)
    def set_cells_ok(self, cabinet_id: str) -> None:
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
        self.service.send_from(cabinet_id, hardware.hello())
        self._do(fate, lambda: self.service.report(cabinet_id))

    # --- the network --------------------------------------------------------------------------

    @rule(data=st.data())
    def late_messages_arrive(self, data: Any) -> None:
        order = data.draw(st.permutations(self.in_transit))
        self.in_transit = []
        self.service.deliver(*order)

    def _do(self, fate: str, action: Callable[[], Any]) -> Any:
        self.service.hold_messages = fate != "now"
        result = action()
        self.service.hold_messages = False
        sent, self.service.held_messages = self.service.held_messages, []
        if fate == "later":
            self.in_transit += sent
        elif fate == "twice":
            self.service.deliver(*sent, *sent)
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
        """Deliver what is in transit, close all doors, poll twice, and compare the records."""
        self.service.deliver(*self.in_transit)
        for hardware in self.service.cabinets.values():
            for cell in hardware.cells.values():
                cell.door = "closed"
            hardware.poll_sensors()
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


def possible_actions(hardware: Hardware, bag: list[Accumulator]) -> Iterator[tuple[str, int]]:
    """Yield each action that a person can take at a cabinet, and its cell."""
    for number, cell in hardware.cells.items():
        if cell.door == "closed":
            yield "pry", number
            continue
        yield "close", number
        if cell.accumulator:
            yield "take", number
        elif bag:
            yield "insert", number


def perform(hardware: Hardware, bag: list[Accumulator], action: str, cell: int) -> None:
    match action:
        case "pry":
            hardware.pry_open(cell)
        case "take":
            bag.append(hardware.remove(cell))
        case "insert":
            hardware.insert(cell, bag.pop(0))
        case _:
            hardware.close_door(cell)
