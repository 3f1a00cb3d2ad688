"""A queue that is down, restarted or refuses our login; with a real broker."""

from typing import Any

import pytest

from local.broker import Broker
from tests.integration.queue.wired import (
    PASSWORD,
    cabinet_at,
    check_nothing_happened,
    is_unavailable,
    unlock_answered,
    use,
)
from tests.service import Service


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
def test_while_the_broker_is_down_nothing_is_sent_and_all_is_as_before(
    wired: Service, own_broker: Broker, end: Any
) -> None:
    booking = wired.book(1)
    end(own_broker)
    assert is_unavailable(wired.unlock(booking))
    check_nothing_happened(wired, booking)


def test_a_command_says_so_too(wired: Service, own_broker: Broker) -> None:
    own_broker.stop()
    body = {"kind": "lock", "cells": [1], "reason": "x"}
    assert is_unavailable(wired.call("POST", "/v1/cabinets/C-1/commands", body, key="operator"))


def test_everything_else_goes_on_without_a_broker(wired: Service, own_broker: Broker) -> None:
    own_broker.stop()
    booking = wired.book(1)
    wired.delete(f"/v1/bookings/{booking['booking_id']}")
    wired.report()
    assert wired.get("/v1/cabinets/C-1")["online"]
    assert wired.poll()["asked"] is False
    wired.post("/v1/accumulators", {"accumulator_id": "A-1", "contractor_id": "T-1"})
    swap = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-1"}
    wired.post("/v1/swaps", swap)
    wired.check_invariants()


def test_when_the_broker_is_back_the_same_booking_is_unlocked(
    wired: Service, own_broker: Broker
) -> None:
    booking = wired.book(1)
    own_broker.stop()
    assert is_unavailable(wired.unlock(booking))
    own_broker.start()
    with cabinet_at(own_broker) as cabinet:
        assert unlock_answered(wired, booking, cabinet).status == 200
        assert not cabinet.has_received()  # what was refused is not sent after all


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
def test_a_connection_that_ended_in_the_meantime_is_not_noticed(
    wired: Service, own_broker: Broker, end: Any
) -> None:
    with cabinet_at(own_broker) as cabinet:
        assert unlock_answered(wired, wired.book(1), cabinet).status == 200
    end(own_broker)
    own_broker.start()
    with cabinet_at(own_broker) as cabinet:
        assert unlock_answered(wired, wired.book(1), cabinet).status == 200


def test_health_tells_whether_the_queue_takes_our_login(
    wired: Service, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok = {"status": "ok", "database": "ok", "queue": "ok"}
    assert wired.call("GET", "/v1/health", key=None).body == ok
    use(monkeypatch, MQTT_PASSWORD="wrong")
    assert wired.call("GET", "/v1/health", key=None).body["queue"] == "unavailable"
    use(monkeypatch, MQTT_PASSWORD=PASSWORD)
    own_broker.stop()
    answer = wired.call("GET", "/v1/health", key=None)
    assert (answer.status, answer.body["queue"], answer.body["database"]) == (
        503,
        "unavailable",
        "ok",
    )


def test_a_wrong_password_is_a_queue_that_is_unavailable(
    wired: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    booking = wired.book(1)
    use(monkeypatch, MQTT_PASSWORD="wrong-password")
    assert is_unavailable(wired.unlock(booking))
    check_nothing_happened(wired, booking)
    logged = capsys.readouterr().out
    assert "Not authorized" in logged
    assert "wrong-password" not in logged


def test_a_host_that_does_not_exist_is_a_queue_that_is_unavailable(
    wired: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = wired.book(1)
    use(monkeypatch, MQTT_HOST="no-such-host.invalid")
    assert is_unavailable(wired.unlock(booking))
    check_nothing_happened(wired, booking)
