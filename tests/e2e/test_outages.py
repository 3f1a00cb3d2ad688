"""The database or the broker goes away: what needs it says so, nothing is lost, it comes back."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.broker import find_mosquitto
from tests.e2e.running import Cabinet, Running
from tests.waiting import wait_until

needs_mosquitto = pytest.mark.skipif(
    find_mosquitto() is None,
    reason="amqtt keeps sessions in memory only: they do not outlive it",
)


@pytest.fixture
def cabinet(fragile: Running) -> Cabinet:
    """A cabinet that has found its way back from the outages before."""
    cabinet = fragile.cabinet()
    wait_until(lambda: can_unlock(cabinet), seconds=20)
    return cabinet


def assert_database_unavailable(stack: Running, method: str, path: str, body: Any = None) -> None:
    answer = stack.operator.call(method, path, body)
    assert (answer.status, answer.body["code"]) == (503, "database_unavailable")
    assert "Retry-After" in answer.headers


def kill_server(stack: Running, name: str) -> None:
    """End a server's process at once; return when it has another."""
    pid = stack.control.servers()[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: stack.control.servers()[name] not in {pid, None})


def can_unlock(cabinet: Cabinet) -> bool:
    """Whether commands, and answers, find their way."""
    return cabinet.send("report_state").status == 200


def test_without_the_database_all_that_needs_it_is_refused_and_nothing_is_half_done(
    fragile: Running, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    fragile.control.stop_server("database")
    body = {"cabinet_id": cabinet.cabinet_id, "contractor_id": "T", "kind": "issue", "count": 1}
    swap = {"scooter_id": "S", "contractor_id": "T", "installed_accumulator_id": "A-0001"}
    command = {"kind": "report_state", "reason": "a test"}
    for method, path, given in (
        ("GET", "/v1/cabinets", None),
        ("GET", "/v1/accumulators/A-0001", None),
        ("GET", "/v1/stats", None),
        ("POST", "/v1/bookings", body),
        ("POST", f"/v1/bookings/{booking['booking_id']}/unlock", None),
        ("DELETE", f"/v1/bookings/{booking['booking_id']}", None),
        ("POST", "/v1/swaps", swap),
        ("POST", f"/v1/cabinets/{cabinet.cabinet_id}/commands", command),
    ):
        assert_database_unavailable(fragile, method, path, given)
    health = fragile.backend.call("GET", "/v1/health")
    assert (health.status, health.body["database"], health.body["queue"]) == (
        503,
        "unavailable",
        "ok",
    )
    fragile.start_database()
    assert fragile.backend.call("GET", "/v1/health").status == 200
    assert cabinet.booking(booking) == booking
    assert cabinet.openings() == 0


def test_what_cabinets_say_without_the_database_is_applied_when_it_is_back(
    fragile: Running, cabinet: Cabinet
) -> None:
    fragile.control.stop_server("database")
    cabinet.act("say", text="once only: no later report repeats it")
    fragile.start_database()
    wait_until(cabinet.anomalies)
    assert cabinet.anomalies() == ["malformed"]


def test_a_reply_without_the_database_is_applied_when_it_is_back(
    fragile: Running, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    cabinet.answer("held")
    with ThreadPoolExecutor() as threads:
        unlocking = threads.submit(cabinet.unlock, booking)
        wait_until(lambda: cabinet.openings() == 1)
        fragile.control.stop_server("database")
        assert unlocking.result().body["code"] == "database_unavailable"
    cabinet.answer("release")
    fragile.start_database()
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    assert cabinet.unlock(booking).status == 200
    assert cabinet.openings() == 1


def test_a_database_that_was_killed_is_started_again_with_all_that_was_committed(
    fragile: Running, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    kill_server(fragile, "database")
    wait_until(lambda: fragile.backend.call("GET", "/v1/health").status == 200)
    assert cabinet.booking(booking) == booking
    assert cabinet.unlock(booking).status == 200
    assert {"server": "database", "level": "WARN"}.items() <= _last_restart(fragile).items()


@needs_mosquitto
def test_without_the_broker_nothing_is_sent_and_bookings_go_on(
    fragile: Running, cabinet: Cabinet
) -> None:
    booking = cabinet.book(2)
    fragile.control.stop_server("broker")
    answer = cabinet.unlock(booking)
    assert (answer.status, answer.body["code"]) == (503, "queue_unavailable")
    now = cabinet.booking(booking)
    assert (now["status"], now["cells"]) == ("active", booking["cells"])
    command = cabinet.send("report_state")
    assert (command.status, command.body["code"]) == (503, "queue_unavailable")
    health = fragile.backend.call("GET", "/v1/health")
    assert (health.status, health.body["database"], health.body["queue"]) == (
        503,
        "ok",
        "unavailable",
    )
    assert [cell["state"] for cell in cabinet.book(3)["cells"]] == ["held"] * 3
    assert cabinet.openings() == 0


@needs_mosquitto
def test_when_the_broker_is_back_cabinets_and_bridge_connect_and_the_unlock_works(
    fragile: Running, cabinet: Cabinet
) -> None:
    booking = cabinet.book(2)
    fragile.control.stop_server("broker")
    assert cabinet.unlock(booking).status == 503
    fragile.control.start_server("broker")
    wait_until(lambda: can_unlock(cabinet), seconds=20)
    assert cabinet.unlock(booking).body["status"] == "completed"
    assert cabinet.openings() == 2


@needs_mosquitto
def test_a_broker_that_was_killed_is_started_again_and_all_find_it(
    fragile: Running, cabinet: Cabinet
) -> None:
    kill_server(fragile, "broker")
    wait_until(lambda: can_unlock(cabinet), seconds=20)
    assert cabinet.unlock(cabinet.book()).body["status"] == "completed"


@needs_mosquitto
def test_what_a_cabinet_says_without_the_broker_waits_in_the_cabinet(
    fragile: Running, cabinet: Cabinet
) -> None:
    fragile.control.stop_server("broker")
    cabinet.act("say", text="once only: no later report repeats it")
    fragile.control.start_server("broker")
    wait_until(lambda: cabinet.anomalies() == ["malformed"], seconds=20)


def test_the_timer_asks_every_cabinet_for_its_state(fragile: Running) -> None:
    def seen() -> list[str]:
        cabinets = fragile.backend.get("/v1/cabinets")["cabinets"]
        return [cabinet["last_seen_at"] for cabinet in cabinets]

    before = max(seen())
    wait_until(lambda: min(seen()) > before)


def _last_restart(stack: Running) -> dict[str, Any]:
    return [line for line in stack.log if "server" in line][-1]
