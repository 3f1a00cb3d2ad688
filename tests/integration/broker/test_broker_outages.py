"""A real broker that is down, restarts, or refuses the login."""

from typing import Any

import pytest

from local.broker import BRIDGE_LOGIN, Broker
from tests.integration.broker.connected_service import (
    PASSWORD,
    assert_nothing_changed,
    cabinet_at,
    is_unavailable,
    unlock_with_reply,
)
from tests.support.service import Service, change_settings


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
def test_an_unlock_while_the_broker_is_down_is_503_and_changes_nothing(
    connected: Service, own_broker: Broker, end: Any
) -> None:
    booking = connected.book(1)
    end(own_broker)
    assert is_unavailable(connected.unlock(booking))
    assert_nothing_changed(connected, booking)


def test_a_command_while_the_broker_is_down_is_503(connected: Service, own_broker: Broker) -> None:
    own_broker.stop()
    body = {"kind": "lock", "cells": [1], "reason": "x"}
    assert is_unavailable(connected.call("POST", "/v1/cabinets/C-1/commands", body, key="operator"))


def test_all_other_operations_work_without_a_broker(connected: Service, own_broker: Broker) -> None:
    own_broker.stop()
    booking = connected.book(1)
    connected.delete(f"/v1/bookings/{booking['booking_id']}")
    connected.report()
    assert connected.get("/v1/cabinets/C-1")["online"]
    assert connected.poll()["asked"] is False
    connected.post("/v1/accumulators", {"accumulator_id": "A-1", "contractor_id": "T-1"})
    swap = {"scooter_id": "S-1", "contractor_id": "T-1", "installed_accumulator_id": "A-1"}
    connected.post("/v1/swaps", swap)
    connected.check_invariants()


def test_a_booking_can_be_unlocked_after_the_broker_restarts(
    connected: Service, own_broker: Broker
) -> None:
    booking = connected.book(1)
    own_broker.stop()
    assert is_unavailable(connected.unlock(booking))
    own_broker.start()
    with cabinet_at(own_broker) as cabinet:
        assert unlock_with_reply(connected, booking, cabinet).status == 200
        assert not cabinet.has_received()  # the refused command is not sent later


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill], ids=["stopped", "killed"])
def test_a_broker_restart_between_two_unlocks_causes_no_error(
    connected: Service, own_broker: Broker, end: Any
) -> None:
    with cabinet_at(own_broker) as cabinet:
        assert unlock_with_reply(connected, connected.book(1), cabinet).status == 200
    end(own_broker)
    own_broker.start()
    with cabinet_at(own_broker) as cabinet:
        assert unlock_with_reply(connected, connected.book(1), cabinet).status == 200


def test_readiness_reports_whether_the_broker_accepts_the_login(
    connected: Service, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok = {"status": "ok", "database": "ok", "queue": "ok"}
    assert connected.call("GET", "/v1/health/ready").body == ok
    change_settings(monkeypatch, MQTT_PASSWORD="wrong")
    assert connected.call("GET", "/v1/health/ready").body["queue"] == "unavailable"
    change_settings(monkeypatch, MQTT_PASSWORD=PASSWORD)
    own_broker.stop()
    response = connected.call("GET", "/v1/health/ready")
    assert (response.status, response.body["queue"], response.body["database"]) == (
        503,
        "unavailable",
        "ok",
    )


def test_a_wrong_password_is_queue_unavailable(
    connected: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    booking = connected.book(1)
    change_settings(monkeypatch, MQTT_PASSWORD="wrong-password")
    assert is_unavailable(connected.unlock(booking))
    assert_nothing_changed(connected, booking)
    logged = capsys.readouterr().out
    assert "Not authorized" in logged
    assert "wrong-password" not in logged


def test_a_command_that_the_broker_refuses_is_logged_with_the_reason(
    connected: Service,
    own_broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if own_broker.mqtt_version != "5":
        pytest.skip("only MQTT 5 has a reason in the acknowledgement")
    username, password = BRIDGE_LOGIN  # may not publish
    change_settings(monkeypatch, MQTT_USERNAME=username, MQTT_PASSWORD=password)
    connected.poll()
    logged = capsys.readouterr().out
    assert "publication not acknowledged; it may have arrived" in logged
    assert "Not authorized" in logged


def test_an_unknown_host_is_queue_unavailable(
    connected: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = connected.book(1)
    change_settings(monkeypatch, MQTT_HOST="no-such-host.invalid")
    assert is_unavailable(connected.unlock(booking))
    assert_nothing_changed(connected, booking)
