"""The statistics, and the audit: it finds a violation of each invariant."""

import pytest

from tests.support.service import Service


def violations(service: Service) -> list[tuple[str, str]]:
    audit = service.get("/v1/stats")["audit"]
    assert audit["ok"] == (not audit["violations"])
    return [(found["invariant"], found["detail"]) for found in audit["violations"]]


def test_the_statistics_of_an_empty_service_are_zero(service: Service) -> None:
    assert service.get("/v1/stats") == {
        "cabinets": [],
        "contractors": {},
        "places": {
            "registered": 0,
            "in_cells": 0,
            "with_contractors": 0,
            "in_scooters": 0,
            "retired": 0,
            "nowhere_known": 0,
        },
        "bookings": {},
        "commands": {},
        "answer_times": {"count": 0, "median_ms": None, "p99_ms": None, "max_ms": None},
        "anomalies": {},
        "audit": {"ok": True, "violations": []},
    }


@pytest.fixture
def stocked(service: Service) -> Service:
    """The service with accumulators in every kind of place, and bookings of three states."""
    service.add_cabinet("C-1", charges=[98, 81, None, 41])
    service.add_cabinet("C-2")
    for place in ({"contractor_id": "T-2"}, {"scooter_id": "S-1"}, {}, {}):
        name = f"B-{len(service.get('/v1/accumulators')['accumulators'])}"
        service.post("/v1/accumulators", {"accumulator_id": name} | place)
    service.delete("/v1/accumulators/B-7")
    assert service.unlock(service.book(1)).status == 200
    service.take(1)
    expired = service.book(1)
    service.advance_time(1801)
    assert service.booking(expired)["status"] == "expired"
    service.report("C-1")
    service.send_from("C-1", b"nonsense")
    service.book(1)
    return service


def test_accumulators_are_counted_by_cabinet_contractor_and_place(stocked: Service) -> None:
    stats = stocked.get("/v1/stats")
    assert stats["cabinets"] == [
        {
            "cabinet_id": "C-1",
            "accumulators": 3,
            "available": 0,
            "charge_mean": 61.0,
            "charge_min": 41,
        },
        {
            "cabinet_id": "C-2",
            "accumulators": 0,
            "available": 0,
            "charge_mean": None,
            "charge_min": None,
        },
    ]
    assert stats["contractors"] == {"T-1": 1, "T-2": 1}
    assert stats["places"] == {
        "registered": 8,
        "in_cells": 3,
        "with_contractors": 2,
        "in_scooters": 1,
        "retired": 1,
        "nowhere_known": 1,
    }


def test_bookings_commands_and_anomalies_of_the_last_day_are_counted_by_outcome(
    stocked: Service,
) -> None:
    stats = stocked.get("/v1/stats")
    assert stats["bookings"] == {"active": 1, "completed": 1, "expired": 1}
    assert stats["commands"] == {"succeeded": 1}
    assert stats["anomalies"] == {"malformed": 1}
    stocked.poll()  # the poll is not a command to a cabinet
    assert stocked.get("/v1/stats")["commands"] == {"succeeded": 1}


def test_an_unresolved_state_request_is_counted_as_no_answer(service: Service) -> None:
    service.add_cabinet()
    service.lose_commands = True
    body = {"kind": "report_state", "reason": "a test"}
    response = service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    service.advance_time(1000)
    service.poll()
    assert service.get(f"/v1/commands/{response.body['command_id']}")["status"] == "unresolved"
    assert service.get("/v1/stats")["commands"] == {"no_answer": 1}


def test_nothing_older_than_a_day_is_counted(stocked: Service) -> None:
    stocked.advance_time(24 * 3600)
    stats = stocked.get("/v1/stats")
    assert (stats["bookings"], stats["commands"], stats["anomalies"]) == ({}, {}, {})
    assert stats["answer_times"]["count"] == 0


def test_answer_times_run_from_publication_to_the_reply(service: Service) -> None:
    service.add_cabinet(charges=[98, 95, 90])
    for _ in range(3):
        service.unlock(service.book(1))
    for number, seconds in enumerate((1, 2, 9), start=1):
        service.sql(
            "UPDATE commands SET finished_at = published_at + make_interval(secs => %(s)s)"
            " WHERE payload -> 'cells' = jsonb_build_array(%(n)s)",
            s=seconds,
            n=number,
        )
    times = service.get("/v1/stats")["answer_times"]
    assert times["count"] == 3
    assert times["median_ms"] == pytest.approx(2000)
    assert times["max_ms"] == pytest.approx(9000)
    assert times["p99_ms"] == pytest.approx(8860)


# --- the audit --------------------------------------------------------------------------------


@pytest.fixture
def sound(service: Service) -> Service:
    """The service with an active and a completed booking, and no violation."""
    service.add_cabinet(charges=[98, 95, 90])
    service.unlock(service.book(1))
    service.book(1)
    assert violations(service) == []
    return service


def drop_checks(service: Service, table: str) -> None:
    """Drop the check and unique constraints, so that the database accepts violations."""
    constraints = service.sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = %(t)s::regclass"
        " AND contype IN ('c', 'u')",
        t=table,
    )
    for constraint in constraints:
        service.sql(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint["conname"]}"')


def test_the_audit_finds_an_accumulator_in_two_places(sound: Service) -> None:
    drop_checks(sound, "accumulators")
    drop_checks(sound, "movements")
    sound.sql("UPDATE accumulators SET scooter_id = 'S-1' WHERE accumulator_id = 'C-1.A-3'")
    assert ("I1", "in more than one place") in violations(sound)


def test_the_audit_finds_two_accumulators_in_a_cell(sound: Service) -> None:
    drop_checks(sound, "accumulators")
    sound.sql(
        "UPDATE accumulators SET cell_number = 3, cabinet_id = 'C-1'"
        " WHERE accumulator_id = 'C-1.A-2'"
    )
    assert ("I1", "more than one accumulator in the cell") in violations(sound)


def test_the_audit_finds_a_cell_and_an_accumulator_in_two_bookings(sound: Service) -> None:
    sound.sql("DROP INDEX cell_in_one_booking")
    sound.sql("DROP INDEX accumulator_in_one_booking")
    other = sound.book(1)["booking_id"]
    sound.sql(
        "UPDATE booking_cells SET cell_number = 2, accumulator_id = 'C-1.A-2'"
        " WHERE booking_id = %(b)s",
        b=other,
    )
    assert violations(sound) == [
        ("I2", "cell in more than one unfinished booking"),
        ("I2", "accumulator in more than one unfinished booking"),
    ]


def test_the_audit_finds_a_finished_booking_that_holds_a_cell(sound: Service) -> None:
    sound.sql(
        "UPDATE bookings SET status = 'failed', finished_at = now() WHERE finished_at IS NULL"
    )
    assert violations(sound) == [("I3", "finished, but still holds a cell")]


def test_the_audit_finds_an_unlocking_booking_without_a_command(sound: Service) -> None:
    sound.sql("UPDATE bookings SET status = 'unlocking' WHERE status = 'active'")
    assert violations(sound) == [("I3", "status unlocking without a command that explains it")]


def test_the_audit_finds_an_accumulator_that_was_issued_twice(sound: Service) -> None:
    sound.sql(
        "INSERT INTO movements (accumulator_id, cause, from_cabinet_id, from_cell_number,"
        " to_contractor_id, booking_id) SELECT accumulator_id, cause, from_cabinet_id,"
        " from_cell_number, to_contractor_id, booking_id FROM movements WHERE cause = 'issued'"
    )
    found = violations(sound)
    assert ("I3", "issued more than once in the ledger") in found
    assert any(invariant == "I6" and "begins elsewhere" in detail for invariant, detail in found)


def test_the_audit_finds_two_unsettled_unlocks_of_one_booking(sound: Service) -> None:
    sound.sql("DROP INDEX one_unlock_in_doubt")
    sound.sql(
        "INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, requested_by,"
        " deadline) SELECT gen_random_uuid(), 'C-1', 'unlock', '{}', booking_id, 'x', now()"
        " FROM bookings, generate_series(1, 2) WHERE status = 'active'"
    )
    assert violations(sound) == [("I4", "more than one unlock in doubt")]


def test_the_audit_finds_a_place_that_contradicts_the_ledger(sound: Service) -> None:
    sound.sql(
        "UPDATE accumulators SET cabinet_id = NULL, cell_number = NULL, scooter_id = 'S-1'"
        " WHERE accumulator_id = 'C-1.A-3'"
    )
    assert violations(sound) == [("I6", "the ledger does not give the present place")]


def test_the_audit_finds_an_accumulator_without_movements(sound: Service) -> None:
    sound.sql("INSERT INTO accumulators (accumulator_id) VALUES ('B-1')")
    assert violations(sound) == [("I6", "the ledger does not give the present place")]


def test_the_audit_finds_a_gap_in_the_chain_of_custody(sound: Service) -> None:
    sound.sql("DELETE FROM movements WHERE accumulator_id = 'C-1.A-1' AND cause = 'reported'")
    [(invariant, detail)] = violations(sound)
    assert invariant == "I6"
    assert detail.endswith("begins elsewhere")


def test_the_audit_finds_a_retired_accumulator_in_a_cell(sound: Service) -> None:
    drop_checks(sound, "accumulators")
    sound.sql("UPDATE accumulators SET status = 'retired' WHERE accumulator_id = 'C-1.A-3'")
    assert violations(sound) == [("I8", "registered 3, found 4")]


def test_the_audit_lists_at_most_100_violations(service: Service) -> None:
    service.sql(
        "INSERT INTO accumulators (accumulator_id) SELECT 'B-' || n FROM generate_series(1, 150) n"
    )
    assert len(violations(service)) == 100
