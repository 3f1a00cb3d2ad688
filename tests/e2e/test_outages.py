"""The database or the broker stops: requests that need it get 503, and nothing is lost."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.local_cloud import Cabinet, LocalCloud
from tests.support.programs import needs
from tests.support.waiting import wait_until

needs_mosquitto = needs("mosquitto")  # amqtt keeps sessions in memory: a restart loses them


@pytest.fixture
def cabinet(stoppable: LocalCloud) -> Cabinet:
    """A cabinet that has reconnected after the outages of earlier tests."""
    cabinet = stoppable.cabinet()
    wait_until(lambda: replies(cabinet))
    return cabinet


def assert_database_unavailable(
    stack: LocalCloud, method: str, path: str, body: Any = None
) -> None:
    response = stack.operator.call(method, path, body)
    assert (response.status, response.body["code"]) == (503, "database_unavailable")
    assert "Retry-After" in response.headers


def kill_server(stack: LocalCloud, name: str) -> None:
    """Kill a server and wait until it is restarted."""
    pid = stack.control.servers()[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: stack.control.servers()[name] not in {pid, None})


def replies(cabinet: Cabinet) -> bool:
    """Whether a command reaches the cabinet, and its reply the service."""
    return cabinet.send("report_state").status == 200


def test_requests_during_a_database_outage_are_503_and_change_nothing(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    stoppable.control.stop_server("database")
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
        assert_database_unavailable(stoppable, method, path, given)
    health = stoppable.backend.call("GET", "/v1/health/ready")
    assert (health.status, health.body["database"], health.body["queue"]) == (
        503,
        "unavailable",
        "ok",
    )
    stoppable.start_database()
    assert stoppable.backend.call("GET", "/v1/health/ready").status == 200
    assert cabinet.booking(booking) == booking
    assert cabinet.openings() == 0


def test_messages_during_a_database_outage_are_applied_afterwards(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    stoppable.control.stop_server("database")
    cabinet.act("say", text="malformed, and in no later report")
    stoppable.start_database()
    wait_until(cabinet.anomalies)
    assert cabinet.anomalies() == ["malformed"]


def test_a_reply_during_a_database_outage_is_applied_afterwards(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    cabinet.answer("held")
    with ThreadPoolExecutor() as threads:
        unlocking = threads.submit(cabinet.unlock, booking)
        wait_until(lambda: cabinet.openings() == 1)
        stoppable.control.stop_server("database")
        assert unlocking.result().body["code"] == "database_unavailable"
    cabinet.answer("release")
    stoppable.start_database()
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    assert cabinet.unlock(booking).status == 200
    assert cabinet.openings() == 1


def test_a_killed_database_is_restarted_with_all_committed_data(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    booking = cabinet.book()
    kill_server(stoppable, "database")
    wait_until(lambda: stoppable.backend.call("GET", "/v1/health/ready").status == 200)
    assert cabinet.booking(booking) == booking
    assert cabinet.unlock(booking).status == 200
    last = [line for line in stoppable.log if "server" in line][-1]
    assert {"server": "database", "level": "WARN"}.items() <= last.items()


@needs_mosquitto
def test_unlocks_and_commands_are_503_during_a_broker_outage(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    booking = cabinet.book(2)
    stoppable.control.stop_server("broker")
    response = cabinet.unlock(booking)
    assert (response.status, response.body["code"]) == (503, "queue_unavailable")
    current = cabinet.booking(booking)
    assert (current["status"], current["cells"]) == ("active", booking["cells"])
    command = cabinet.send("report_state")
    assert (command.status, command.body["code"]) == (503, "queue_unavailable")
    health = stoppable.backend.call("GET", "/v1/health/ready")
    assert (health.status, health.body["database"], health.body["queue"]) == (
        503,
        "ok",
        "unavailable",
    )
    assert cabinet.openings() == 0


@needs_mosquitto
def test_cabinets_and_bridge_reconnect_after_a_broker_outage(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    booking = cabinet.book(2)
    stoppable.control.stop_server("broker")
    assert cabinet.unlock(booking).status == 503
    stoppable.control.start_server("broker")
    wait_until(lambda: replies(cabinet))
    assert cabinet.unlock(booking).body["status"] == "completed"
    assert cabinet.openings() == 2


@needs_mosquitto
def test_cabinets_and_bridge_reconnect_to_a_killed_broker_after_its_restart(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    kill_server(stoppable, "broker")
    wait_until(lambda: replies(cabinet))
    assert cabinet.unlock(cabinet.book()).body["status"] == "completed"


@needs_mosquitto
def test_a_message_during_a_broker_outage_is_sent_by_the_cabinet_afterwards(
    stoppable: LocalCloud, cabinet: Cabinet
) -> None:
    stoppable.control.stop_server("broker")
    cabinet.act("say", text="malformed, and in no later report")
    stoppable.control.start_server("broker")
    wait_until(lambda: cabinet.anomalies() == ["malformed"])


def test_the_timer_polls_every_cabinet(stoppable: LocalCloud) -> None:
    def last_seen() -> list[str]:
        cabinets = stoppable.backend.get("/v1/cabinets")["cabinets"]
        return [cabinet["last_seen_at"] for cabinet in cabinets]

    before = max(last_seen())
    wait_until(lambda: min(last_seen()) > before)
