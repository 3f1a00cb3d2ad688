"""A batch of messages: its effects, its number of statements, and its atomicity."""

import pytest

from local.cabinet.hardware import Accumulator
from local.functions import FunctionFailed
from shared import db
from tests.support.accumulators import IN_CELL_1
from tests.support.service import Message, Service


class CountingTx(db.Tx):
    """A transaction that counts the statements of all transactions."""

    statements = 0

    def all(self, sql: str, params: db.Params | None = None) -> list[db.Row]:
        CountingTx.statements += 1
        return super().all(sql, params)

    def first(self, sql: str, params: db.Params | None = None) -> db.Row | None:
        CountingTx.statements += 1
        return super().first(sql, params)

    def execute(self, sql: str, params: db.Params | None = None) -> int:
        CountingTx.statements += 1
        return super().execute(sql, params)


@pytest.fixture
def counting_tx(monkeypatch: pytest.MonkeyPatch) -> type[CountingTx]:
    monkeypatch.setattr(db, "Tx", CountingTx)
    CountingTx.statements = 0
    return CountingTx


def test_reports_of_100_cabinets_need_as_many_statements_as_the_report_of_one(
    service: Service, counting_tx: type[CountingTx]
) -> None:
    # One statement, because a hundred requests are slow.
    service.sql(
        """WITH registered AS (
               INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
               SELECT 'C-' || n, 'C-' || n, 55, 37, 'native.v1', 1 FROM generate_series(0, 100) n
               RETURNING cabinet_id)
           INSERT INTO cells (cabinet_id, cell_number) SELECT cabinet_id, 1 FROM registered"""
    )
    reports = [(f"C-{number}", first_report(f"A-{number}")) for number in range(101)]
    counting_tx.statements = 0
    service.deliver(reports[0])
    of_one, counting_tx.statements = counting_tx.statements, 0
    service.deliver(*reports[1:])
    assert counting_tx.statements == of_one
    assert 5 < of_one < 25
    assert service.get("/v1/stats")["places"]["in_cells"] == 101
    service.check_invariants()


def first_report(accumulator_id: str) -> Message:
    cell = {"cell_number": 1, "door": "closed", "accumulator_id": accumulator_id}
    return {"v": 1, "type": "state_report", "boot_id": "b", "seq": 1, "cells": [cell]}


def handover_messages(service: Service, name: str) -> list[tuple[str, Message | bytes]]:
    """Return what two cabinets send while an accumulator is moved from one to the other.

    Two malformed messages are among them.
    """
    source, target = f"{name}-1", f"{name}-2"
    service.add_cabinet(source, charges=[95, 90])
    service.add_cabinet(target, charges=[50])
    service.hold_messages = True
    service.unlock(service.book(cabinet_id=source, contractor_id=f"{name}-T"))
    accumulator = service.take(1, source)
    service.cabinets[target].pry_open(3)
    service.put(3, accumulator, target)
    service.cabinets[target].cells[4].accumulator = Accumulator(f"{name}-X", 70)
    service.report(source)
    service.report(target)
    service.hold_messages = False
    messages: list[tuple[str, Message | bytes]] = [*service.held_messages]
    service.held_messages.clear()
    return [*messages[:2], (source, b"broken"), ("nobody", b"{}"), *messages[2:]]


def stored_state(service: Service, name: str) -> str:
    """Return every row about cabinets and accumulators of this name, without ids and times."""
    tables = [
        """SELECT cabinet_id, cell_number, door, content, reported_id, health, boot_no, opened_by
             FROM cells WHERE cabinet_id LIKE %(name)s ORDER BY 1, 2""",
        """SELECT accumulator_id, cabinet_id, cell_number, contractor_id, battery_charge, status
             FROM accumulators WHERE accumulator_id LIKE %(name)s ORDER BY 1""",
        """SELECT accumulator_id, cause, from_cabinet_id, from_cell_number, from_contractor_id,
                  to_cabinet_id, to_cell_number, to_contractor_id, discrepancy
             FROM movements WHERE accumulator_id LIKE %(name)s ORDER BY 1, movement_id""",
        """SELECT status, late, inferred FROM commands WHERE cabinet_id LIKE %(name)s""",
        """SELECT b.status, h.cell_number, h.state, h.reason
             FROM bookings b JOIN booking_cells h USING (booking_id)
            WHERE b.cabinet_id LIKE %(name)s""",
        """SELECT cabinet_id, reason, payload = 'broken' AS broken FROM anomalies
            WHERE cabinet_id LIKE %(name)s ORDER BY reason, detail""",
    ]
    rows = [service.sql(table, name=f"{name}%") for table in tables]
    return str(rows).replace(name, "")


def test_a_batch_has_the_same_effects_as_its_messages_delivered_one_by_one(
    service: Service,
) -> None:
    service.deliver(*handover_messages(service, "BATCH"))
    for message in handover_messages(service, "SINGLE"):
        service.deliver(message)
    assert stored_state(service, "BATCH") == stored_state(service, "SINGLE")
    assert service.place("BATCH-1.A-1") == {"cabinet_id": "BATCH-2", "cell_number": 3}
    service.check_invariants()


def test_an_accumulator_issued_and_left_in_its_cell_within_one_batch_is_not_collected(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.hold_messages = True
    service.unlock(service.book())
    service.act("C-1", lambda _: hardware.close_door(1))  # nothing was taken out
    service.hold_messages = False
    service.deliver_held_messages()
    assert service.movement_causes("C-1.A-1") == [
        "registered",
        "reported",
        "issued",
        "not_collected",
    ]
    assert service.place("C-1.A-1") == IN_CELL_1
    service.check_invariants()


def test_a_malformed_message_does_not_block_the_rest_of_its_batch(service: Service) -> None:
    hardware = service.add_cabinet()
    hardware.cells[1].accumulator = Accumulator("A", 90)
    hardware.cells[2].accumulator = Accumulator("B", 90)
    event, report = hardware.cell_event(1), hardware.state_report()
    service.deliver(("C-1", event), ("C-1", b"broken"), ("C-1", report))
    assert service.place("A") == IN_CELL_1
    assert service.place("B") == {"cabinet_id": "C-1", "cell_number": 2}
    assert sorted(service.anomalies()) == ["malformed", *["unknown_accumulator"] * 2]
    service.check_invariants()


def test_a_batch_is_rolled_back_if_the_database_fails_and_is_applied_once_when_redelivered(
    service: Service,
) -> None:
    batch = handover_messages(service, "BATCH")
    before = stored_state(service, "BATCH")
    service.sql(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"""
    )
    service.sql(
        """CREATE TRIGGER dies BEFORE INSERT ON anomalies FOR EACH ROW EXECUTE FUNCTION die()"""
    )
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        service.deliver(*batch)
    assert stored_state(service, "BATCH") == before
    service.sql("DROP TRIGGER dies ON anomalies")
    for message in batch:
        service.deliver(message)
    service.deliver(*batch)
    assert service.movement_causes("BATCH-1.A-1").count("issued") == 1
    assert service.place("BATCH-1.A-1") == {"cabinet_id": "BATCH-2", "cell_number": 3}
    service.check_invariants()
