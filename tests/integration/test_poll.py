"""The poll: one question to all, and what time alone decides."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.cabinet.cells import Accumulator
from local.functions import FunctionFailed
from local.timer import timer_event
from tests.service import Service, record


def swept(service: Service, name: str) -> Any:
    return service.poll()[name]


# --- the question -----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7])
def test_one_message_asks_any_number_of_cabinets(service: Service, count: int) -> None:
    for number in range(count):
        service.connect(f"C-{number}")
    assert swept(service, "asked")
    [(device_id, command)] = service.queue.published
    assert device_id is None
    assert (command["kind"], command["spread_s"]) == ("report_state", 20)


def test_cabinets_that_answer_are_online(service: Service) -> None:
    for number in range(3):
        service.connect(f"C-{number}")
    service.poll()
    online = service.get("/v1/cabinets?online=true")["cabinets"]
    assert len(online) == 3
    assert service.anomalies() == []


def test_the_question_is_written_down_as_sent(service: Service) -> None:
    service.poll()
    [row] = service.sql("SELECT cabinet_id, status, requested_by FROM commands")
    assert row == {"cabinet_id": None, "status": "succeeded", "requested_by": "poll"}


def test_a_queue_that_is_down_does_not_stop_the_sweep(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.book(1)
    service.later(1801)
    service.queue.down = True
    result = service.poll()
    assert (result["asked"], result["cabinets_with_expiry"]) == (False, 1)


@pytest.mark.parametrize(
    "event",
    [{}, {"messages": [record("C-1", b"x")]}, {"messages": None}, {"httpMethod": "POST"}],
    ids=["empty", "of a cabinet", "null", "of the gateway"],
)
def test_another_event_is_an_error(service: Service, event: dict[str, Any]) -> None:
    with pytest.raises(FunctionFailed, match="takes the timer trigger's event"):
        service.pool.invoke("poll_cabinets", event, timeout=30)
    assert service.queue.published == []


# --- expiry -----------------------------------------------------------------------------------


def test_what_has_expired_is_written_down(service: Service) -> None:
    service.add_cabinet("C-1", charges=[98, 95])
    service.add_cabinet("C-2", charges=[98])
    service.lose_commands = True  # a cabinet's answer would have it written, too
    old = service.book(1)
    service.later(1000)
    service.report("C-2")
    fresh = service.book(1, cabinet_id="C-2")
    service.later(801)
    assert swept(service, "cabinets_with_expiry") == 1
    rows = service.sql("SELECT booking_id::text, status FROM bookings ORDER BY created_at")
    assert rows == [
        {"booking_id": old["booking_id"], "status": "expired"},
        {"booking_id": fresh["booking_id"], "status": "active"},
    ]
    cells = service.booking(old)["cells"]
    assert [(c["state"], c["reason"]) for c in cells] == [("released", "expired")]
    assert swept(service, "cabinets_with_expiry") == 0


def test_a_return_that_was_half_done_is_partially_completed(service: Service) -> None:
    service.add_cabinet()
    service.post("/v1/accumulators", {"accumulator_id": "A-1", "contractor_id": "T-1"})
    booking = service.book(2, "return")
    assert service.unlock(booking).status == 200
    service.put(1, Accumulator("A-1", 40))
    service.later(1801)
    service.poll()
    [row] = service.sql("SELECT status FROM bookings")
    assert row["status"] == service.booking(booking)["status"] == "partially_completed"
    service.check_invariants()


# --- commands without an answer ---------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending", "published"])
def test_a_command_that_nobody_waits_for_any_more_is_given_up(
    service: Service, status: str
) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    answer = service.unlock(service.book(1))
    service.sql("UPDATE commands SET status = %(s)s", s=status)  # its function died
    service.later(9)
    assert swept(service, "given_up") == 0
    service.later(2)
    assert swept(service, "given_up") == 1
    found = service.get(f"/v1/commands/{answer.body['command_id']}")
    assert (found["status"], found["finished_at"]) == ("no_answer", None)
    service.check_invariants()


def test_what_no_evidence_settles_in_time_is_given_to_an_operator(service: Service) -> None:
    service.add_cabinet(charges=[98, 95])
    service.lose_commands = True
    booking = service.book(1)
    command_id = service.unlock(booking).body["command_id"]
    service.later(590)
    assert swept(service, "unresolved") == 0
    service.later(11)
    assert swept(service, "unresolved") == 1
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
    assert swept(service, "unresolved") == 0
    service.check_invariants()


def test_an_unresolved_lock_disables_nothing(service: Service) -> None:
    service.add_cabinet()
    service.lose_commands = True
    body = {"kind": "lock", "cells": [1], "reason": "x"}
    answer = service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    service.later(601)
    assert swept(service, "unresolved") == 0
    found = service.get(f"/v1/commands/{answer.body['command_id']}")
    assert found["status"] == "unresolved"
    assert service.cell(1)["health"] == "ok"


def test_the_polls_own_report_is_evidence(service: Service) -> None:
    service.add_cabinet(charges=[98])
    service.lose_commands = True
    booking = service.book(1)
    command_id = service.unlock(booking).body["command_id"]
    service.lose_commands = False
    service.poll()
    assert service.get(f"/v1/commands/{command_id}")["status"] == "not_executed"
    assert service.booking(booking)["status"] == "active"
    assert service.unlock(booking).status == 200
    service.check_invariants()


# --- at once, and for long --------------------------------------------------------------------


def test_polls_at_once_do_no_harm(service: Service) -> None:
    for name in ("C-1", "C-2"):
        service.add_cabinet(name, charges=[98, 95])
    service.lose_commands = True
    service.book(1)
    service.unlock(service.book(1, cabinet_id="C-2"))
    service.later(1801)
    with ThreadPoolExecutor(4) as timers:
        results = list(timers.map(lambda _: service.poll(), range(4)))
    assert sum(result["unresolved"] for result in results) == 1
    assert sum(result["given_up"] for result in results) == 0
    rows = service.sql("SELECT status FROM bookings ORDER BY cabinet_id")
    assert [row["status"] for row in rows] == ["expired", "failed"]
    service.check_invariants()


def ids(service: Service, statement: str) -> list[Any]:
    return [next(iter(row.values())) for row in service.sql(statement)]


def test_idempotency_keys_are_kept_for_a_day(service: Service) -> None:
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
    assert ids(service, "SELECT key FROM idempotency_keys") == ["young"]


def test_anomalies_are_kept_for_a_month(service: Service) -> None:
    service.connect("C-1")
    service.say("C-1", b"old")
    service.later(2 * 24 * 3600)
    service.say("C-1", b"young")
    service.later(28 * 24 * 3600 + 1)
    service.poll()
    assert ids(service, "SELECT convert_from(payload, 'UTF8') FROM anomalies") == ["young"]


def test_the_polls_own_questions_are_kept_for_a_day_and_others_for_good(
    service: Service,
) -> None:
    service.add_cabinet(charges=[98])
    service.unlock(service.book(1))
    service.poll()
    service.later(25 * 3600)
    service.poll()
    kinds = ids(service, "SELECT kind FROM commands ORDER BY created_at")
    assert kinds == ["unlock", "report_state"]


def test_the_timers_event_is_enough(service: Service) -> None:
    assert service.pool.invoke("poll_cabinets", timer_event(), timeout=30) == {
        "asked": True,
        "cabinets_with_expiry": 0,
        "unresolved": 0,
        "given_up": 0,
    }
