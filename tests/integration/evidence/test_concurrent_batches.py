"""Batches of messages that are applied at the same time as another batch or a swap."""

from collections.abc import Collection
from uuid import uuid4

import pytest

from local.cabinet.hardware import Accumulator
from shared import db, evidence, triggers
from shared.models.swaps import SwapRequest
from shared.repo import cabinets
from shared.services import swap
from tests.integration.blocking import blocked
from tests.support.service import Service, record


def is_locked(service: Service, cabinet_id: str) -> bool:
    """Whether a transaction holds the lock of a cabinet."""
    sql = "SELECT cabinet_id FROM cabinets WHERE cabinet_id = %(id)s FOR NO KEY UPDATE SKIP LOCKED"
    return not service.sql(sql, id=cabinet_id)


def test_a_batch_locks_its_cabinets_in_order_including_those_with_malformed_messages(
    service: Service,
) -> None:
    service.add_cabinet("C-1")
    hardware = service.add_cabinet("C-2")
    report = hardware.state_report()

    def deliver() -> None:
        service.deliver(("C-1", b"{"), ("C-2", report))

    with blocked(service, deliver) as start, db.transaction() as tx:
        cabinets.lock(tx, ["C-1"])
        start()
        tx.one("SELECT cabinet_id FROM cabinets WHERE cabinet_id = 'C-2' FOR UPDATE NOWAIT")
    assert service.anomalies() == ["malformed"]


def test_a_batch_that_waited_for_a_swap_sees_its_movements(service: Service) -> None:
    service.add_cabinet(charges=[90])
    assert service.unlock(service.book()).status == 200
    service.hold_messages = True
    service.act("C-1", lambda hardware: hardware.close_door(1))  # the accumulator is still inside
    report = SwapRequest(scooter_id="S-1", contractor_id="T-1", installed_accumulator_id="C-1.A-1")
    with blocked(service, service.deliver_held_messages) as start, db.transaction() as tx:
        swap.record(tx, uuid4(), report)
        start()
    assert service.movement_causes("C-1.A-1")[-3:] == ["issued", "swapped", "reported"]
    service.check_invariants()


def test_a_batch_locks_again_when_an_accumulator_is_found_in_another_cabinet(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = service.add_cabinet("C-1")
    report = service.add_cabinet("C-2", charges=[90]).state_report()
    hardware.cells[1].accumulator = Accumulator("C-2.A-1", 90)
    event = {"messages": [record("C-1", hardware.state_report())]}
    lock, locked = cabinets.lock, []

    def recording_lock(tx: db.Tx, cabinet_ids: Collection[str]) -> list[db.Row]:
        locked.append(([*sorted(cabinet_ids)], is_locked(service, "C-2")))
        return lock(tx, cabinet_ids)

    def deliver() -> None:
        service.deliver(("C-2", report))

    with blocked(service, deliver) as start, db.transaction() as tx:
        evidence.apply_messages(tx, triggers.raw_messages(event), reconcile_seconds=600)
        monkeypatch.setattr(cabinets, "lock", recording_lock)
        start()
    assert locked == [(["C-2"], True), (["C-1", "C-2"], False)]
    service.check_invariants()


def test_an_accumulator_reported_by_two_cabinets_at_once_is_a_duplicate(service: Service) -> None:
    service.post("/v1/accumulators", {"accumulator_id": "A-9", "contractor_id": "T-1"})
    reports = []
    for cabinet_id in ("C-1", "C-2"):
        hardware = service.add_cabinet(cabinet_id)
        hardware.cells[1].accumulator = Accumulator("A-9", 90)
        reports.append(hardware.state_report())
    event = {"messages": [record("C-1", reports[0])]}

    def deliver() -> None:
        service.deliver(("C-2", reports[1]))

    with blocked(service, deliver) as start, db.transaction() as tx:
        evidence.apply_messages(tx, triggers.raw_messages(event), reconcile_seconds=600)
        start()
    assert service.anomalies() == ["inserted_without_booking", "duplicate_accumulator"]
    assert service.place("A-9") == {"cabinet_id": "C-2", "cell_number": 1}
    service.check_invariants()


def test_a_swap_locks_the_cabinet_its_accumulator_was_found_in_while_it_waited(
    service: Service,
) -> None:
    hardware = service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A-9", "contractor_id": "T-1"})
    hardware.cells[1].accumulator = Accumulator("A-9", 90)
    event = {"messages": [record("C-1", hardware.state_report())]}
    body = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-9"}
    report = SwapRequest(**body, reconcile=True)
    locked: list[bool] = []

    def record_swap() -> None:
        with db.transaction() as tx:
            swap.record(tx, uuid4(), report)
            locked.append(is_locked(service, "C-1"))
        db.close()

    with blocked(service, record_swap) as start, db.transaction() as tx:
        evidence.apply_messages(tx, triggers.raw_messages(event), reconcile_seconds=600)
        start()
    assert locked == [True]
    assert service.place("A-9") == {"scooter_id": "S-1"}
    service.check_invariants()
