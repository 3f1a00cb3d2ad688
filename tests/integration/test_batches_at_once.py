"""Batches of messages that are applied at the same time as something else."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from local.cabinet.hardware import Accumulator
from shared import db, events
from shared.models.swaps import SwapRequest
from shared.repo import cabinets
from shared.services import ingest, swap
from tests.service import Service, record
from tests.waiting import wait_until


@contextmanager
def waited_for(service: Service, meanwhile: Callable[[], Any]) -> Iterator[Callable[[], None]]:
    """How to let `meanwhile` begin, which then waits for a lock; at the end it has ended."""
    with ThreadPoolExecutor(1) as other:
        begun = []

        def begin() -> None:
            begun.append(other.submit(meanwhile))
            wait_until(lambda: service.sql("SELECT pid FROM pg_locks WHERE NOT granted LIMIT 1"))

        yield begin
        for batch in begun:
            batch.result()
    db.close()


def is_locked(service: Service, cabinet_id: str) -> bool:
    """Whether a transaction has the right to change a cabinet."""
    sql = "SELECT cabinet_id FROM cabinets WHERE cabinet_id = %(id)s FOR NO KEY UPDATE SKIP LOCKED"
    return not service.sql(sql, id=cabinet_id)


def test_a_batch_locks_its_cabinets_in_order_also_those_it_cannot_read(service: Service) -> None:
    service.add_cabinet("C-1")
    hardware = service.add_cabinet("C-2")
    report = hardware.state_report()

    def deliver() -> None:
        service.deliver(("C-1", b"{"), ("C-2", report))

    with waited_for(service, deliver) as begin, db.transaction() as tx:
        cabinets.lock(tx, ["C-1"])
        begin()
        tx.one("SELECT cabinet_id FROM cabinets WHERE cabinet_id = 'C-2' FOR UPDATE NOWAIT")
    assert service.anomalies() == ["malformed"]


def test_a_batch_that_waited_for_a_swap_knows_of_it(service: Service) -> None:
    service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    service.hold_messages = True
    service.act("C-1", lambda hardware: hardware.close_door(1))  # it is still in it
    report = SwapRequest(scooter_id="S-1", contractor_id="T-1", installed_accumulator_id="C-1.A-1")
    with waited_for(service, service.deliver_waiting) as begin, db.transaction() as tx:
        swap.record(tx, uuid4(), report)
        begin()
    assert service.causes("C-1.A-1")[-3:] == ["issued", "swapped", "reported"]
    service.check_invariants()


def test_a_batch_locks_its_cabinets_at_once_also_one_that_an_accumulator_came_into(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = service.add_cabinet("C-1")
    report = service.add_cabinet("C-2", charges=[90]).state_report()
    hardware.cells[1].accumulator = Accumulator("C-2.A-1", 90)
    said = {"messages": [record("C-1", hardware.state_report())]}
    lock, locked = cabinets.lock, []

    def spied(tx: db.Tx, cabinet_ids: Collection[str]) -> list[db.Row]:
        locked.append(([*sorted(cabinet_ids)], is_locked(service, "C-2")))
        return lock(tx, cabinet_ids)

    def deliver() -> None:
        service.deliver(("C-2", report))

    with waited_for(service, deliver) as begin, db.transaction() as tx:
        ingest.apply(tx, events.envelopes(said))
        monkeypatch.setattr(cabinets, "lock", spied)
        begin()
    assert locked == [(["C-2"], True), (["C-1", "C-2"], False)]
    service.check_invariants()


def test_what_two_cabinets_report_at_once_is_a_duplicate(service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-9", "contractor_id": "T-1"})
    reports = []
    for cabinet_id in ("C-1", "C-2"):
        hardware = service.add_cabinet(cabinet_id)
        hardware.cells[1].accumulator = Accumulator("A-9", 90)
        reports.append(hardware.state_report())
    said = {"messages": [record("C-1", reports[0])]}

    def deliver() -> None:
        service.deliver(("C-2", reports[1]))

    with waited_for(service, deliver) as begin, db.transaction() as tx:
        ingest.apply(tx, events.envelopes(said))
        begin()
    assert service.anomalies() == ["duplicate_accumulator"]
    assert service.place("A-9") == {"cabinet_id": "C-2", "cell_number": 1}
    service.check_invariants()


def test_a_swap_locks_the_cabinet_that_an_accumulator_came_into_while_it_waited(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A-9", "contractor_id": "T-1"})
    hardware.cells[1].accumulator = Accumulator("A-9", 90)
    said = {"messages": [record("C-1", hardware.state_report())]}
    body = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-9"}
    report = SwapRequest(**body, reconcile=True)
    locked: list[bool] = []

    def swap_it() -> None:
        with db.transaction() as tx:
            swap.record(tx, uuid4(), report)
            locked.append(is_locked(service, "C-1"))
        db.close()

    with waited_for(service, swap_it) as begin, db.transaction() as tx:
        ingest.apply(tx, events.envelopes(said))
        begin()
    assert locked == [True]
    assert service.place("A-9") == {"scooter_id": "S-1"}
    service.check_invariants()
