"""The poll: one message to all cabinets, and the sweep."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.functions import FunctionFailed
from local.timer import timer_event
from shared import db
from shared.repo import cabinets
from tests.support import state_guard
from tests.support.service import Service, record
from tests.support.waiting import wait_until


def poll_count(service: Service, name: str) -> Any:
    return service.poll()[name]


# --- the message ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7])
def test_one_message_polls_any_number_of_cabinets(service: Service, count: int) -> None:
    for number in range(count):
        service.connect(f"C-{number}")
    assert poll_count(service, "asked")
    [(device_id, command)] = service.queue.published
    assert device_id is None
    assert (command["kind"], command["spread_s"]) == ("report_state", 20)


def test_cabinets_that_reply_to_the_poll_are_online(service: Service) -> None:
    for number in range(3):
        service.connect(f"C-{number}")
    service.poll()
    online = service.get("/v1/cabinets?online=true")["cabinets"]
    assert len(online) == 3
    assert service.anomalies() == []


def test_the_poll_is_stored_as_a_succeeded_command(service: Service) -> None:
    service.poll()
    [row] = service.sql("SELECT cabinet_id, status, requested_by FROM commands")
    assert row == {"cabinet_id": None, "status": "succeeded", "requested_by": "poll"}


def test_the_sweep_runs_even_if_the_queue_is_down(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.book(1)
    service.advance_time(1801)
    service.queue.down = True
    result = service.poll()
    assert (result["asked"], result["cabinets_with_expiry"]) == (False, 1)


@pytest.mark.parametrize(
    "event",
    [{}, {"messages": [record("C-1", b"x")]}, {"messages": None}, {"httpMethod": "POST"}],
    ids=["empty", "of a cabinet", "null", "of the gateway"],
)
def test_any_event_but_the_timers_is_an_error(service: Service, event: dict[str, Any]) -> None:
    with pytest.raises(FunctionFailed, match="takes only events of the timer trigger"):
        service.pool.invoke("poll_cabinets", event, timeout=30)
    assert service.queue.published == []


# --- expiry -----------------------------------------------------------------------------------


def test_the_poll_stores_which_bookings_have_expired(service: Service) -> None:
    service.add_cabinet("C-1", charges=[98, 95])
    service.add_cabinet("C-2", charges=[98])
    service.lose_commands = True  # a cabinet's report would also store the expiry
    old = service.book(1)
    service.advance_time(1000)
    service.report("C-2")
    fresh = service.book(1, cabinet_id="C-2")
    service.advance_time(801)
    assert poll_count(service, "cabinets_with_expiry") == 1
    rows = service.sql("SELECT booking_id::text, status FROM bookings ORDER BY created_at")
    assert rows == [
        {"booking_id": old["booking_id"], "status": "expired"},
        {"booking_id": fresh["booking_id"], "status": "active"},
    ]
    cells = service.booking(old)["cells"]
    assert [(c["state"], c["reason"]) for c in cells] == [("released", "expired")]
    assert poll_count(service, "cabinets_with_expiry") == 0


def test_the_poll_waits_for_the_lock_of_a_cabinet_before_it_stores_an_expiry(
    service: Service,
) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    service.book()
    service.advance_time(1801)
    with ThreadPoolExecutor(1) as other:
        with db.transaction() as tx:
            cabinets.lock(tx, ["C-1"])
            poll = other.submit(service.poll)
            locks = "SELECT pid FROM pg_locks WHERE NOT granted LIMIT 1"
            wait_until(lambda: poll.done() or service.sql(locks))
            assert not poll.done()
        assert poll.result()["cabinets_with_expiry"] == 1
    db.close()


@pytest.mark.parametrize("status", ["pending", "published"])
def test_the_poll_stores_the_time_out_of_a_command_that_nobody_waits_for(
    service: Service, status: str
) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    response = service.unlock(service.book(1))
    # The state that a function leaves if it dies after this write.
    state = "SET status = %(s)s, deadline = now() + interval '1 minute'"
    service.sql(f"{state_guard.OFF} UPDATE commands {state}", s=status)
    assert poll_count(service, "given_up") == 0
    service.advance_time(60)
    assert poll_count(service, "given_up") == 1
    found = service.get(f"/v1/commands/{response.body['command_id']}")
    assert (found["status"], found["finished_at"]) == ("no_answer", None)
    service.check_invariants()


def test_e02_an_unlock_without_evidence_becomes_unresolved_after_the_reconciliation_window(
    service: Service,
) -> None:
    service.add_cabinet(charges=[98, 95])
    service.lose_commands = True
    booking = service.book(1)
    command_id = service.unlock(booking).body["command_id"]
    service.advance_time(590)
    assert poll_count(service, "unresolved") == 0
    service.advance_time(11)
    assert poll_count(service, "unresolved") == 1
    assert service.get(f"/v1/commands/{command_id}")["status"] == "unresolved"
    assert (service.cell(1)["health"], service.cell(1)["health_reason"]) == (
        "disabled",
        "unresolved",
    )
    assert service.cell(2)["health"] == "ok"
    found = service.booking(booking)
    assert found["status"] == "failed"
    assert [(c["state"], c["reason"]) for c in found["cells"]] == [("failed", "unresolved")]
    assert service.unlock(booking).body["code"] == "booking_not_active"
    assert poll_count(service, "unresolved") == 0
    service.check_invariants()


def test_an_unresolved_lock_command_disables_no_cell(service: Service) -> None:
    service.add_cabinet()
    service.lose_commands = True
    body = {"kind": "lock", "cells": [1], "reason": "x"}
    response = service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    service.advance_time(601)
    assert poll_count(service, "unresolved") == 0
    found = service.get(f"/v1/commands/{response.body['command_id']}")
    assert found["status"] == "unresolved"
    assert service.cell(1)["health"] == "ok"


def test_a_report_requested_by_the_poll_settles_a_command(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    booking = service.book(1)
    command_id = service.unlock(booking).body["command_id"]
    service.lose_commands = False
    service.poll()
    found = service.get(f"/v1/commands/{command_id}")
    assert (found["status"], found["inferred"], found["late"]) == ("not_executed", True, False)
    assert service.booking(booking)["status"] == "active"
    assert service.unlock(booking).status == 200
    service.check_invariants()


# --- simultaneous polls, and deletion of old rows ---------------------------------------------


def test_simultaneous_polls_count_each_change_once(service: Service) -> None:
    for name in ("C-1", "C-2"):
        service.add_cabinet(name, charges=[98, 95])
    service.lose_commands = True
    service.book(1)
    service.unlock(service.book(1, cabinet_id="C-2"))
    service.advance_time(1801)
    with ThreadPoolExecutor(4) as timers:
        results = list(timers.map(lambda _: service.poll(), range(4)))
    assert sum(result["unresolved"] for result in results) == 1
    assert sum(result["given_up"] for result in results) == 0
    rows = service.sql("SELECT status FROM bookings ORDER BY cabinet_id")
    assert [row["status"] for row in rows] == ["expired", "failed"]
    service.check_invariants()


def column(service: Service, statement: str) -> list[Any]:
    return [next(iter(row.values())) for row in service.sql(statement)]


def test_idempotency_keys_are_deleted_after_a_day(service: Service) -> None:
    service.connect("C-1")
    for name, hours in (("old", 25), ("young", 23)):
        body = {"accumulator_id": name}
        service.call(
            "POST", "/v1/accumulators", body, key="operator", headers={"Idempotency-Key": name}
        )
        service.sql(
            "UPDATE idempotency_keys SET created_at = now() - make_interval(hours => %(h)s)"
            " WHERE key = %(k)s",
            h=hours,
            k=name,
        )
    service.poll()
    assert column(service, "SELECT key FROM idempotency_keys") == ["young"]


def test_anomalies_are_deleted_after_90_days(service: Service) -> None:
    service.connect("C-1")
    service.send_from("C-1", b"old")
    service.advance_time(2 * 24 * 3600)
    service.send_from("C-1", b"young")
    service.advance_time(88 * 24 * 3600 + 1)
    service.poll()
    assert column(service, "SELECT convert_from(payload, 'UTF8') FROM anomalies") == ["young"]


def test_poll_commands_are_deleted_after_a_day_and_other_commands_never(
    service: Service,
) -> None:
    service.add_cabinet(charges=[98])
    service.unlock(service.book(1))
    service.poll()
    service.advance_time(25 * 3600)
    service.poll()
    kinds = column(service, "SELECT kind FROM commands ORDER BY created_at")
    assert kinds == ["unlock", "report_state"]


def test_the_poll_returns_its_counts(service: Service) -> None:
    assert service.pool.invoke("poll_cabinets", timer_event(), timeout=30) == {
        "asked": True,
        "cabinets_with_expiry": 0,
        "unresolved": 0,
        "given_up": 0,
        "announced": 0,
        "sequenced": 0,
        "bookings_removed": 0,
        "commands_removed": 0,
        "events_removed": 0,
        "anomalies_removed": 0,
        "keys_removed": 0,
        "months_added": 0,
    }
