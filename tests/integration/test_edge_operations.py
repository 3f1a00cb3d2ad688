"""Edge cases E71 to E80: safety and operations; and what a batch of messages promises.

docs/edge-cases.md lists them.
"""

from dataclasses import replace
from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from local.functions import FunctionFailed
from shared import db
from tests.service import Answer, Message, Service

IN_CELL_1 = {"cabinet_id": "C-1", "cell_number": 1}


def book(service: Service) -> Answer:
    wanted = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    return service.call("POST", "/v1/bookings", wanted)


def open_by_hand(service: Service, *, key: str = "operator", **more: Any) -> Answer:
    body = {"kind": "unlock", "cells": [1], "reason": "support"} | more
    return service.call("POST", "/v1/cabinets/C-1/commands", body, key=key)


# --- E71 to E76: alarms, maintenance, updates -----------------------------------------------------


@pytest.mark.parametrize("alarm", ["smoke", "fire", "water"])
def test_e71_a_dangerous_alarm_stops_bookings_and_unlocks(service: Service, alarm: str) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    booking = service.book()
    service.act("C-1", lambda hardware: hardware.alarms.add(alarm))
    assert book(service).body["code"] == "cabinet_inactive"
    assert service.unlock(booking).body["code"] == "cabinet_inactive"
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_e71_support_may_open_all_the_same(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    assert open_by_hand(service).status == 200
    assert hardware.cells[1].door == "open"
    service.check_invariants()


def test_e72_an_alarm_in_every_report_is_one_anomaly(service: Service) -> None:
    service.add_cabinet()
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    for _ in range(3):
        service.report()
    assert service.anomalies() == ["alarm"]
    assert service.get("/v1/cabinets/C-1")["alarms"] == ["smoke"]
    service.check_invariants()


def test_e73_an_alarm_lasts_until_a_report_says_that_it_is_over(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.act("C-1", lambda hardware: hardware.alarms.add("smoke"))
    service.later(3600)
    service.say("C-1", hardware.hello())
    assert book(service).body["code"] == "cabinet_inactive"
    hardware.alarms.clear()
    service.report()
    assert book(service).status == 201
    service.check_invariants()


def test_e74_a_cabinet_in_maintenance_does_no_business_but_its_reports_count(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "maintenance"})
    hardware.cells[2].accumulator = Accumulator("X", 50)
    service.report()
    assert book(service).body["code"] == "cabinet_inactive"
    assert service.place("X") == {"cabinet_id": "C-1", "cell_number": 2}
    service.check_invariants()


def test_e75_a_cabinet_that_is_updating_refuses_and_the_booking_stays(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    hardware.firmware = replace(hardware.firmware, refuses="updating")
    booking = service.book()
    answer = service.unlock(booking)
    assert (answer.status, answer.body["reason"]) == (502, "updating")
    assert service.booking(booking)["status"] == "active"
    service.check_invariants()


def test_e76_a_cabinet_taken_out_of_service_opens_nothing_that_was_booked_before(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95])
    booking = service.book()
    service.patch("/v1/cabinets/C-1", {"status": "inactive", "status_reason": "suspended"})
    assert service.unlock(booking).body["code"] == "cabinet_inactive"
    assert hardware.cells[1].openings == 0
    service.check_invariants()


# --- E77 to E80: support --------------------------------------------------------------------------


def test_e77_opening_by_hand_needs_the_operators_key(service: Service) -> None:
    hardware = service.add_cabinet(charges=[95])
    assert open_by_hand(service, key="backend").status == 403
    assert hardware.cells[1].openings == 0
    service.check_invariants()


def test_e77_opening_by_hand_needs_a_reason(service: Service) -> None:
    service.add_cabinet(charges=[95])
    answer = service.call(
        "POST", "/v1/cabinets/C-1/commands", {"kind": "unlock", "cells": [1]}, key="operator"
    )
    assert answer.status == 400
    assert service.queue.published == []
    service.check_invariants()


def test_e77_opening_by_hand_is_kept_with_its_reason_and_moves_nothing_by_itself(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    command_id = open_by_hand(service, reason="door stuck").body["command_id"]
    assert service.get(f"/v1/commands/{command_id}")["reason"] == "door stuck"
    assert service.place("C-1.A-1") == IN_CELL_1
    service.act("C-1", lambda hardware: hardware.close_door(1))
    service.report()
    assert service.place("C-1.A-1") == IN_CELL_1
    assert service.causes("C-1.A-1") == ["registered", "reported"]
    service.check_invariants()


def test_e78_a_swallowed_accumulator_is_given_back_by_support(service: Service) -> None:
    service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A", "contractor_id": "T-1"})
    service.unlock(service.book(kind="return"))
    service.put(1, Accumulator("A", 90))
    open_by_hand(service)
    service.take(1)
    body = {"place": {"contractor_id": "T-1"}, "reason": "given back"}
    service.patch("/v1/accumulators/A", body)
    assert service.place("A") == {"contractor_id": "T-1"}
    assert service.causes("A") == ["registered", "returned", "reported", "corrected"]
    service.check_invariants()


def test_e79_in_a_dispute_the_ledger_tells_and_a_correction_is_kept_with_its_reason(
    service: Service,
) -> None:
    service.add_cabinet(charges=[95])
    booking = service.book()
    service.unlock(booking)
    service.take(1)
    service.patch("/v1/cabinets/C-1/cells/1", {"health": "disabled", "reason": "dispute"})
    body = {"place": {"nowhere": True}, "reason": "the cell was empty"}
    service.patch("/v1/accumulators/C-1.A-1", body)
    [corrected, issued, *_] = service.get("/v1/accumulators/C-1.A-1/movements")["movements"]
    assert (issued["cause"], issued["booking_id"]) == ("issued", booking["booking_id"])
    assert (corrected["cause"], corrected["reason"]) == ("corrected", "the cell was empty")
    service.check_invariants()


def test_e80_evidence_of_a_disabled_cell_counts_and_the_cell_stays_disabled(
    service: Service,
) -> None:
    hardware = service.add_cabinet(charges=[95, 90])
    service.patch("/v1/cabinets/C-1/cells/2", {"health": "disabled", "reason": "smells"})
    hardware.firmware = replace(hardware.firmware, substitutes={1: 2})
    service.unlock(service.book())
    service.take(2)
    assert service.place("C-1.A-2") == {"contractor_id": "T-1"}
    cell = service.cell(2)
    assert (cell["health"], cell["health_reason"]) == ("disabled", "smells")
    assert cell["content"] == "empty"
    service.check_invariants()


# --- batches --------------------------------------------------------------------------------------


class CountingTx(db.Tx):
    """A transaction that counts the statements of all of its kind."""

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
def counting(monkeypatch: pytest.MonkeyPatch) -> type[CountingTx]:
    monkeypatch.setattr(db, "Tx", CountingTx)
    CountingTx.statements = 0
    return CountingTx


def test_reports_of_a_hundred_cabinets_are_as_many_statements_as_that_of_one(
    service: Service, counting: type[CountingTx]
) -> None:
    # Registered by one statement, since a hundred requests are slow.
    service.sql(
        """WITH fresh AS (
               INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
               SELECT 'C-' || n, 'C-' || n, 55, 37, 'native.v1', 1 FROM generate_series(0, 100) n
               RETURNING cabinet_id)
           INSERT INTO cells (cabinet_id, cell_number) SELECT cabinet_id, 1 FROM fresh"""
    )
    reports = [(f"C-{number}", first_report(f"A-{number}")) for number in range(101)]
    counting.statements = 0
    service.deliver(reports[0])
    of_one, counting.statements = counting.statements, 0
    service.deliver(*reports[1:])
    assert counting.statements == of_one
    assert 5 < of_one < 25
    assert service.get("/v1/stats")["places"]["in_cells"] == 101
    service.check_invariants()


def first_report(accumulator_id: str) -> Message:
    cell = {"cell_number": 1, "door": "closed", "accumulator_id": accumulator_id}
    return {"v": 1, "type": "state_report", "boot_id": "b", "seq": 1, "cells": [cell]}


def shift(service: Service, name: str) -> list[tuple[str, Message | bytes]]:
    """What two cabinets say while one is issued, carried over, and put into the other."""
    here, there = f"{name}-1", f"{name}-2"
    service.add_cabinet(here, charges=[95, 90])
    service.add_cabinet(there, charges=[50])
    service.hold_messages = True
    service.unlock(service.book(cabinet_id=here, contractor_id=f"{name}-T"))
    accumulator = service.take(1, here)
    service.cabinets[there].pry_open(3)
    service.put(3, accumulator, there)
    service.cabinets[there].cells[4].accumulator = Accumulator(f"{name}-X", 70)
    service.report(here)
    service.report(there)
    service.hold_messages = False
    said: list[tuple[str, Message | bytes]] = [*service.waiting]
    service.waiting.clear()
    return [*said[:2], (here, b"broken"), ("nobody", b"{}"), *said[2:]]


def outcome(service: Service, name: str) -> str:
    """Everything that came of a shift, without its name, ids and times."""
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
            WHERE cabinet_id LIKE %(name)s ORDER BY anomaly_id""",
    ]
    rows = [service.sql(table, name=f"{name}%") for table in tables]
    return str(rows).replace(name, "")


def test_a_batch_has_the_effects_of_its_messages_one_by_one(service: Service) -> None:
    service.deliver(*shift(service, "Batch"))
    for message in shift(service, "Single"):
        service.deliver(message)
    assert outcome(service, "Batch") == outcome(service, "Single")
    assert service.place("Batch-1.A-1") == {"cabinet_id": "Batch-2", "cell_number": 3}
    service.check_invariants()


def test_a_broken_message_does_not_hold_up_the_rest_of_its_batch(service: Service) -> None:
    hardware = service.add_cabinet()
    hardware.cells[1].accumulator = Accumulator("A", 90)
    hardware.cells[2].accumulator = Accumulator("B", 90)
    event, report = hardware.cell_event(1), hardware.state_report()
    service.deliver(("C-1", event), ("C-1", b"broken"), ("C-1", report))
    assert service.place("A") == IN_CELL_1
    assert service.place("B") == {"cabinet_id": "C-1", "cell_number": 2}
    assert sorted(service.anomalies()) == ["malformed", *["unknown_accumulator"] * 2]
    service.check_invariants()


def test_a_database_that_dies_in_the_middle_has_applied_nothing_and_redelivery_all_once(
    service: Service,
) -> None:
    batch = shift(service, "Batch")
    before = outcome(service, "Batch")
    service.sql(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql
           AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"""
    )
    service.sql(
        """CREATE TRIGGER dies BEFORE INSERT ON anomalies FOR EACH ROW EXECUTE FUNCTION die()"""
    )
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        service.deliver(*batch)
    assert outcome(service, "Batch") == before
    service.sql("DROP TRIGGER dies ON anomalies")
    for message in batch:
        service.deliver(message)
    service.deliver(*batch)
    assert service.causes("Batch-1.A-1").count("issued") == 1
    assert service.place("Batch-1.A-1") == {"cabinet_id": "Batch-2", "cell_number": 3}
    service.check_invariants()
