"""How long things are kept: the poll removes what is old, but nothing that is still pointed to."""

from typing import Any

import pytest

from tests.support import service as support
from tests.support.service import Service

DAY = 24 * 3600
KEPT = 400 * DAY


def left(service: Service) -> dict[str, int]:
    return {
        table: service.sql(
            f"SELECT count(*) AS n FROM {table} WHERE NOT to_jsonb({table}) ->> 'kind'"  # noqa: S608 - ours
            " IS NOT DISTINCT FROM 'report_state'"
        )[0]["n"]
        for table in ("bookings", "booking_cells", "commands")
    }


NOTHING = {"bookings": 0, "booking_cells": 0, "commands": 0}


def removed(service: Service) -> int:
    count: int = service.poll()["bookings_removed"]
    return count


@pytest.fixture
def stocked(service: Service) -> Service:
    service.add_cabinet(charges=[95, 90, 85])
    return service


def take_and_bring_back(service: Service) -> Any:
    """Take an accumulator and put it back by a return; return the booking of the issue."""
    booking = service.book(1)
    service.unlock(booking)
    taken = service.take(booking["cells"][0]["cell_number"])
    back = service.book(1, "return")
    service.unlock(back)
    service.put(service.booking(back)["cells"][0]["cell_number"], taken)
    return booking


def test_finished_bookings_are_removed_with_cells_and_commands(stocked: Service) -> None:
    take_and_bring_back(stocked)
    stocked.call("DELETE", f"/v1/bookings/{stocked.book(1)['booking_id']}")
    stocked.book(1)  # expires
    stocked.advance_time(KEPT - DAY)
    assert removed(stocked) == 0
    assert left(stocked)["bookings"] == 4
    stocked.advance_time(DAY)
    assert removed(stocked) == 3  # the fourth has just been written as expired
    stocked.advance_time(KEPT)
    assert removed(stocked) == 1
    assert left(stocked) == NOTHING
    stocked.check_invariants()


def test_a_booking_stays_while_its_accumulator_is_out(stocked: Service) -> None:
    booking = stocked.book(1)
    stocked.unlock(booking)
    taken = stocked.take(booking["cells"][0]["cell_number"])
    stocked.advance_time(2 * KEPT)
    assert removed(stocked) == 0
    assert stocked.booking(booking)["status"] == "completed"
    stocked.act("C-1", lambda hardware: hardware.pry_open(6))
    stocked.put(6, taken)
    assert removed(stocked) == 1


def test_a_booking_stays_while_its_door_has_not_been_seen_closed(stocked: Service) -> None:
    booking = stocked.book(1)
    stocked.unlock(booking)
    stocked.sql(
        "UPDATE accumulators SET contractor_id = NULL, status = 'missing'"
        " WHERE contractor_id IS NOT NULL"
    )
    stocked.sql("UPDATE movements SET booking_id = NULL")
    stocked.advance_time(2 * KEPT)
    assert removed(stocked) == 0
    stocked.sql("UPDATE cells SET opened_by = NULL")
    assert removed(stocked) == 1


def test_a_booking_stays_while_a_person_has_to_look_at_its_unlock(stocked: Service) -> None:
    stocked.lose_commands = True
    booking = stocked.book(1)
    assert stocked.unlock(booking).status == 504
    stocked.advance_time(3600)
    stocked.poll()
    stocked.advance_time(2 * KEPT)
    assert removed(stocked) == 0
    assert stocked.get("/v1/attention")["counts"]["command_unresolved"] == 1
    [cell] = booking["cells"]
    path = f"/v1/cabinets/C-1/cells/{cell['cell_number']}"
    stocked.patch(path, {"health": "ok", "reason": "seen"})
    assert removed(stocked) == 1
    assert left(stocked) == NOTHING


def test_a_command_of_an_operator_stays_while_its_accumulator_is_out(stocked: Service) -> None:
    body = {"kind": "unlock", "cells": [1], "reason": "by phone", "contractor_id": "T-1"}
    stocked.post("/v1/cabinets/C-1/commands", body)
    taken = stocked.take(1)
    stocked.advance_time(2 * KEPT)
    assert stocked.poll()["commands_removed"] == 0
    stocked.act("C-1", lambda hardware: hardware.pry_open(6))
    stocked.put(6, taken)
    assert stocked.poll()["commands_removed"] == 1
    stocked.check_invariants()


def test_bookings_are_removed_in_batches(stocked: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        stocked.call("DELETE", f"/v1/bookings/{stocked.book(1)['booking_id']}")
    stocked.advance_time(2 * KEPT)
    monkeypatch.setattr("shared.services.retention.REMOVED_AT_ONCE", 2)
    monkeypatch.setattr("shared.services.feed.MAX_BATCHES", 2)
    assert removed(stocked) == 4
    assert removed(stocked) == 1


def test_the_settings_say_how_long(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = {"BOOKING_KEEP_DAYS": "2", "ANOMALY_KEEP_DAYS": "2", "IDEMPOTENCY_KEEP_HOURS": "48"}
    with support.running(database_url, monkeypatch, **keep) as service:
        service.add_cabinet(charges=[95])
        body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
        first = service.call("POST", "/v1/bookings", body, headers={"Idempotency-Key": "k"}).body
        service.call("DELETE", f"/v1/bookings/{first['booking_id']}")
        service.send_from("C-1", b"?")
        service.advance_time(47 * 3600)
        done = service.poll()
        assert (done["bookings_removed"], done["anomalies_removed"], done["keys_removed"]) == (
            0,
            0,
            0,
        )
        again = service.call("POST", "/v1/bookings", body, headers={"Idempotency-Key": "k"})
        assert again.headers["Idempotency-Replayed"] == "true"
        service.advance_time(3 * 3600)
        done = service.poll()
        assert (done["bookings_removed"], done["anomalies_removed"], done["keys_removed"]) == (
            1,
            1,
            1,
        )
