"""Who did it: the key's name on everything that a request made or changed."""

from typing import Any

import pytest

from local.cabinet.hardware import Accumulator
from shared.db import attribute_to, close, transaction
from tests.integration.api_calls import unlock_without_booking
from tests.integration.callers.conftest import DESK, ODD, ODD_KEY
from tests.integration.events.following import Follower
from tests.support.service import Response, Service

SWAP = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-1"}
TRANSFER = {
    "from_contractor_id": "T-1",
    "to_contractor_id": "VAN-1",
    "accumulator_ids": ["A-1"],
}
BOOKING = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}


def done(response: Response) -> Any:
    """Return the body of a request that succeeded."""
    assert response.status < 300, response
    return response.body


def register(service: Service, accumulator_id: str = "A-1", **more: Any) -> None:
    service.post("/v1/accumulators", {"accumulator_id": accumulator_id, **more})


def ledger(service: Service, accumulator_id: str) -> list[tuple[str, str | None]]:
    """Return cause and caller of an accumulator's movements, newest first, as the API shows it."""
    found = service.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
    stored = service.sql(
        "SELECT cause, requested_by FROM movements WHERE accumulator_id = %(id)s"
        " ORDER BY movement_id DESC",
        id=accumulator_id,
    )
    shown = [(movement["cause"], movement["requested_by"]) for movement in found]
    assert shown == [(row["cause"], row["requested_by"]) for row in stored]
    return shown


def told(follower: Follower) -> set[tuple[str, str | None]]:
    """Return type and caller of the events since the last call."""
    return {(event["type"], event["requested_by"]) for event in follower.read()}


# --- bookings and commands --------------------------------------------------------------------


def test_a_booking_has_who_made_it_and_who_cancelled_it(service: Service) -> None:
    follower = Follower(service)
    made = done(service.call("POST", "/v1/bookings", BOOKING, key="backend"))
    assert (made["requested_by"], made["cancelled_by"]) == ("backend", None)
    path = f"/v1/bookings/{made['booking_id']}"
    cancelled = done(service.call("DELETE", path, key=DESK))
    assert (cancelled["requested_by"], cancelled["cancelled_by"]) == ("backend", DESK)
    assert service.get(path) == cancelled
    assert service.sql("SELECT requested_by, cancelled_by FROM bookings") == [
        {"requested_by": "backend", "cancelled_by": DESK}
    ]
    assert told(follower) == {("booking.created", "backend"), ("booking.cancelled", DESK)}


def test_a_booking_that_another_request_finds_expired_was_ended_by_nobody(
    service: Service,
) -> None:
    service.book()
    follower = Follower(service)
    service.advance_time(1801)
    service.report()
    done(service.call("POST", "/v1/bookings", BOOKING, key=ODD_KEY))
    assert told(follower) >= {("booking.expired", None), ("booking.created", ODD)}
    [expired] = service.get("/v1/bookings?status=expired")["bookings"]
    assert (expired["requested_by"], expired["cancelled_by"]) == ("backend", None)


def test_what_a_cabinet_reports_has_no_caller(service: Service) -> None:
    booking = service.book(1)
    follower = Follower(service)
    service.unlock(booking)
    service.take(1)
    assert ledger(service, "C-1.A-1") == [
        ("issued", None),
        ("reported", None),
        ("registered", "operator"),
    ]
    assert told(follower) == {
        ("booking.unlocking", "backend"),
        ("command.pending", "backend"),
        ("command.succeeded", None),
        ("command.succeeded", "backend"),  # the time of its publishing, written after the result
        ("booking.completed", None),
        ("accumulator.moved", None),
        ("cell.changed", None),
    }


def test_an_accumulator_that_only_a_cabinet_knows_was_registered_by_nobody(
    service: Service,
) -> None:
    service.cabinets["C-1"].cells[4].accumulator = Accumulator("NEW-1", 50)
    service.report()
    assert ledger(service, "NEW-1") == [("reported", None), ("registered", None)]
    assert service.get("/v1/accumulators/NEW-1")["requested_by"] is None


def test_a_command_has_who_sent_it_first(service: Service) -> None:
    booking = service.book()
    service.lose_commands = True
    path = f"/v1/bookings/{booking['booking_id']}/unlock"
    for key in ("backend", ODD_KEY):
        service.call("POST", path, key=key, headers={"Prefer": "respond-async"})
    unlock_without_booking(service, key=DESK, cells=[3])
    commands = service.get("/v1/commands")["commands"]
    assert [(c["kind"], c["requested_by"]) for c in commands] == [
        ("unlock", DESK),
        ("unlock", "backend"),
    ]
    for command in commands:
        assert service.get(f"/v1/commands/{command['command_id']}") == command


def test_a_command_without_an_answer_was_given_up_by_nobody(service: Service) -> None:
    follower = Follower(service)
    service.lose_commands = True
    assert unlock_without_booking(service, key=DESK).status == 504
    assert told(follower) == {
        ("command.pending", DESK),
        ("command.published", DESK),
        ("command.no_answer", None),
    }


# --- swaps, transfers, corrections ------------------------------------------------------------


def test_a_swap_has_who_reported_it_first(service: Service) -> None:
    register(service, contractor_id="T-1")
    follower = Follower(service)
    swap = done(service.call("POST", "/v1/swaps", SWAP, key=ODD_KEY))
    assert swap["requested_by"] == ODD
    assert done(service.call("POST", "/v1/swaps", SWAP, key="backend")) == swap
    assert ledger(service, "A-1") == [("swapped", ODD), ("registered", "operator")]
    assert told(follower) == {("accumulator.moved", ODD)}


def test_a_transfer_has_who_reported_it_first(service: Service) -> None:
    register(service, contractor_id="T-1")
    follower = Follower(service)
    transfer = done(service.call("POST", "/v1/transfers", TRANSFER, key=ODD_KEY))
    assert transfer["requested_by"] == ODD
    assert done(service.call("POST", "/v1/transfers", TRANSFER, key="backend")) == transfer
    assert ledger(service, "A-1") == [("transferred", ODD), ("registered", "operator")]
    assert told(follower) == {("accumulator.moved", ODD)}


def test_a_retry_after_a_crash_keeps_the_caller(service: Service) -> None:
    headers = {"Idempotency-Key": "k-1"}
    first = done(service.call("POST", "/v1/bookings", BOOKING, key=ODD_KEY, headers=headers))
    service.sql("UPDATE idempotency_keys SET status = NULL, body = NULL")
    service.sql("UPDATE idempotency_keys SET claimed_until = now() - interval '1 second'")
    again = done(service.call("POST", "/v1/bookings", BOOKING, key=ODD_KEY, headers=headers))
    assert (again["booking_id"], again["requested_by"]) == (first["booking_id"], ODD)


@pytest.mark.parametrize(
    "change",
    [
        {"place": {"contractor_id": "T-2"}},
        {"status": "quarantined"},
        {"battery_charge": 40},
        {"battery_charge": None},
    ],
)
def test_a_correction_has_who_made_it(service: Service, change: dict[str, Any]) -> None:
    register(service, battery_charge=90)
    follower = Follower(service)
    body = {**change, "reason": "found"}
    corrected = done(service.call("PATCH", "/v1/accumulators/A-1", body, key=DESK))
    if "place" in change:
        assert ledger(service, "A-1")[0] == ("corrected", DESK)
        assert told(follower) == {("accumulator.moved", DESK)}
    else:
        assert corrected["requested_by"] == DESK
        assert service.get("/v1/accumulators/A-1") == corrected
        assert told(follower) == {("accumulator.changed", DESK)}


def test_a_retired_accumulator_has_who_retired_it(service: Service) -> None:
    register(service)
    done(service.call("DELETE", "/v1/accumulators/A-1", key=DESK))
    [found] = service.get("/v1/accumulators?status=retired")["accumulators"]
    assert found["requested_by"] == DESK


def test_a_charge_that_a_cabinet_reports_does_not_hide_who_gave_the_status(
    service: Service,
) -> None:
    change = {"status": "quarantined", "reason": "swollen"}
    done(service.call("PATCH", "/v1/accumulators/C-1.A-1", change, key=DESK))
    service.cabinets["C-1"].cells[1].accumulator = Accumulator("C-1.A-1", 61)
    service.report()
    found = service.get("/v1/accumulators/C-1.A-1")
    assert (found["battery_charge"], found["requested_by"]) == (61, DESK)


def test_a_status_that_a_cabinet_causes_has_no_caller(service: Service) -> None:
    register(service)
    for number in (4, 5):
        service.cabinets["C-1"].cells[number].accumulator = Accumulator("A-1", 50)
        service.report()
    found = service.get("/v1/accumulators/A-1")
    assert (found["status"], found["requested_by"]) == ("quarantined", None)


def test_an_import_has_who_sent_it(service: Service) -> None:
    cabinet = {"cabinet_id": "C-2", "coords": {"lat": 1, "lon": 2}, "cells_total": 2}
    fleet = {"cabinets": [cabinet], "accumulators": [{"accumulator_id": "A-1"}]}
    done(service.call("POST", "/v1/imports", fleet, key=DESK))
    done(service.call("POST", "/v1/imports", fleet, key="operator"))  # changes nothing
    assert service.get("/v1/cabinets/C-2")["requested_by"] == DESK
    assert ledger(service, "A-1") == [("registered", DESK)]
    moved = {
        "cabinets": [cabinet | {"address": "Tverskaya 1"}],
        "accumulators": [{"accumulator_id": "A-1", "scooter_id": "S-1"}],
    }
    done(service.call("POST", "/v1/imports", moved, key="operator"))
    assert service.get("/v1/cabinets/C-2")["requested_by"] == "operator"
    assert ledger(service, "A-1") == [("corrected", "operator"), ("registered", DESK)]


# --- cabinets, cells --------------------------------------------------------------------------


def test_a_cabinet_has_who_changed_it_last(service: Service) -> None:
    follower = Follower(service)
    assert service.get("/v1/cabinets/C-1")["requested_by"] == "operator"
    body = {"status": "inactive", "status_reason": "being moved"}
    changed = done(service.call("PATCH", "/v1/cabinets/C-1", body, key=DESK))
    done(service.call("PATCH", "/v1/cabinets/C-1", body, key="operator"))  # changes nothing
    service.report()
    assert changed["requested_by"] == service.get("/v1/cabinets/C-1")["requested_by"] == DESK
    assert told(follower) == {("cabinet.changed", DESK)}


def test_a_removed_cabinet_leaves_who_removed_it(service: Service) -> None:
    service.connect("C-2")
    follower = Follower(service)
    done(service.call("DELETE", "/v1/cabinets/C-2", key=DESK))
    removals = service.sql("SELECT kind, id, requested_by FROM removals")
    assert removals == [{"kind": "cabinet", "id": "C-2", "requested_by": DESK}]
    assert told(follower) == {("cabinet.removed", DESK)}


def test_a_cell_has_who_set_its_health(service: Service) -> None:
    follower = Follower(service)
    body = {"health": "disabled", "reason": "bent"}
    cell = done(service.call("PATCH", "/v1/cabinets/C-1/cells/2", body, key=DESK))
    done(service.call("PATCH", "/v1/cabinets/C-1/cells/2", body, key="operator"))  # no change
    service.report()
    assert cell["requested_by"] == service.cell(2)["requested_by"] == DESK
    assert told(follower) == {("cell.changed", DESK)}


def test_a_cell_that_jams_has_no_caller(service: Service) -> None:
    for health in ("disabled", "ok"):
        body = {"health": health, "reason": "mended"}
        done(service.call("PATCH", "/v1/cabinets/C-1/cells/1", body, key=DESK))
    assert service.cell(1)["requested_by"] == DESK
    service.cabinets["C-1"].cells[1].lock = "jammed"
    service.unlock(service.book())
    assert (service.cell(1)["health"], service.cell(1)["requested_by"]) == ("faulty", None)


# --- anomalies, webhooks ----------------------------------------------------------------------


def test_an_anomaly_is_found_by_who_acknowledged_it(service: Service) -> None:
    service.send_from("C-1", b"no JSON", b"[1]")
    first, second = service.get("/v1/anomalies")["anomalies"]
    for anomaly, key in ((first, DESK), (second, "operator"), (first, "operator")):
        path = f"/v1/anomalies/{anomaly['anomaly_id']}/acknowledge"
        done(service.call("POST", path, {"note": "seen"}, key=key))
    [found] = service.get(f"/v1/anomalies?requested_by={DESK}")["anomalies"]
    assert (found["anomaly_id"], found["acknowledged"]["by"]) == (first["anomaly_id"], DESK)


def test_a_webhook_has_who_changed_it_last_and_leaves_who_removed_it(service: Service) -> None:
    made = service.post("/v1/webhooks", {"url": "http://127.0.0.1:9/"})
    path = f"/v1/webhooks/{made['webhook_id']}"
    changed = done(service.call("PATCH", path, {"status": "paused"}, key=DESK))
    assert (made["requested_by"], changed["requested_by"]) == ("operator", DESK)
    [listed] = service.call("GET", "/v1/webhooks", key="operator").body["webhooks"]
    assert listed["requested_by"] == DESK
    done(service.call("DELETE", path, key="operator"))
    removals = service.sql("SELECT kind, id, requested_by FROM removals")
    assert removals == [{"kind": "webhook", "id": made["webhook_id"], "requested_by": "operator"}]


# --- lists ------------------------------------------------------------------------------------


@pytest.fixture
def busy(service: Service) -> Service:
    """The service after two keys have done something of each kind."""
    register(service, contractor_id="T-1")
    for key in ("backend", ODD_KEY):
        made = done(service.call("POST", "/v1/bookings", BOOKING, key=key))
        service.call("POST", f"/v1/bookings/{made['booking_id']}/unlock", key=key)
    done(service.call("POST", "/v1/swaps", SWAP, key=ODD_KEY))
    done(service.call("PATCH", "/v1/cabinets/C-1", {"address": "x"}, key=DESK))
    made = done(service.call("POST", "/v1/bookings", BOOKING, key="backend"))
    done(service.call("DELETE", f"/v1/bookings/{made['booking_id']}", key=ODD_KEY))
    return service


@pytest.mark.parametrize(
    ("path", "name", "odd", "desk"),
    [
        ("/v1/bookings?", "bookings", 2, 0),
        ("/v1/commands?", "commands", 1, 0),
        ("/v1/movements?", "movements", 1, 0),
        ("/v1/movements?scooter_id=S-1&", "movements", 1, 0),
        ("/v1/movements?contractor_id=T-1&newest_first=true&", "movements", 1, 0),
        ("/v1/accumulators/A-1/movements?", "movements", 1, 0),
        ("/v1/cabinets?", "cabinets", 0, 1),
        ("/v1/anomalies?", "anomalies", 0, 0),
    ],
)
def test_a_list_shows_only_what_one_key_did(
    busy: Service, path: str, name: str, odd: int, desk: int
) -> None:
    counts = [len(busy.get(f"{path}requested_by={key}")[name]) for key in (ODD, DESK, "nobody")]
    assert counts == [odd, desk, 0]


def test_the_feed_shows_only_what_one_key_did(service: Service) -> None:
    follower = Follower(service)
    done(service.call("PATCH", "/v1/cabinets/C-1", {"address": "x"}, key=DESK))
    service.book()
    service.report()
    events = follower.read(requested_by=DESK)
    assert [(e["type"], e["requested_by"]) for e in events] == [("cabinet.changed", DESK)]


@pytest.mark.parametrize("name", ["", "x" * 65, "a%20b"])
def test_a_name_that_no_key_has_is_refused(service: Service, name: str) -> None:
    assert service.call("GET", f"/v1/bookings?requested_by={name}").status == 400


# --- transactions -----------------------------------------------------------------------------


def test_the_name_ends_with_its_transaction(service: Service) -> None:
    attribute_to("cause", requested_by=ODD)
    try:
        for given in (ODD, None):
            attribute_to(None, requested_by=given)
            with transaction() as tx:
                assert tx.one("SELECT caller() AS name") == {"name": given}
    finally:
        attribute_to(None)
        close()


def test_the_release_before_this_one_writes_no_name(service: Service) -> None:
    """It names the caller as the cause of events only."""
    follower = Follower(service)
    service.sql("SET LOCAL feed.caused_by = 'backend'; UPDATE cabinets SET address = 'x'")
    assert [(e["caused_by"], e["requested_by"]) for e in follower.read()] == [("backend", None)]
