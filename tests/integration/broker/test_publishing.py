"""What is published to a real broker, and what is logged."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.broker import Broker
from shared import config
from tests.integration.broker.connected_service import (
    PASSWORD,
    cabinet_at,
    unlock_with_reply,
)
from tests.support.mqtt import Client
from tests.support.proxy import Proxy
from tests.support.service import KEYS, Service, change_settings


@pytest.fixture
def cabinet(own_broker: Broker) -> Iterator[Client]:
    """The cabinet's own connection to the broker."""
    with cabinet_at(own_broker) as client:
        yield client


# --- publications -----------------------------------------------------------------------------


def test_a_command_is_published_once_to_its_cabinets_topic_and_not_retained(
    connected: Service, cabinet: Client
) -> None:
    booking = connected.book(1)
    with ThreadPoolExecutor(1) as other:
        response = other.submit(connected.unlock, booking)
        message = cabinet.take()
        command = json.loads(message.payload)
        connected._arrive("C-1", command)
        assert response.result().status == 200
    assert message.topic == "$devices/C-1/commands"
    assert (message.qos, message.retain, message.dup) == (1, False, False)
    assert (command["kind"], command["cells"], command["ttl_s"]) == ("unlock", [1], 15)
    assert command["command_id"] == response.result().body["command_id"]
    assert not cabinet.has_received()


def test_the_poll_is_published_once_to_the_registry_topic(
    connected: Service, cabinet: Client
) -> None:
    assert connected.poll()["asked"]
    message = cabinet.take()
    assert message.topic == "$registries/local/commands"
    assert (message.qos, message.retain) == (1, False)
    assert json.loads(message.payload)["kind"] == "report_state"
    assert not cabinet.has_received()


def test_a_client_that_connects_later_receives_no_earlier_message(
    connected: Service, own_broker: Broker
) -> None:
    connected.poll()
    with cabinet_at(own_broker) as late:
        connected.poll()
        late.take()
        assert not late.has_received()


def test_an_instance_reuses_its_connection(connected: Service, own_broker: Broker) -> None:
    with Proxy(own_broker.host, own_broker.port_of("service")) as proxy:
        with pytest.MonkeyPatch.context() as patch:
            change_settings(patch, MQTT_PORT=str(proxy.port))
            for _ in range(3):
                assert connected.poll()["asked"]
            assert len(proxy._open) == 2  # the ends of one connection: client and server
        config.settings.cache_clear()


# --- logs -------------------------------------------------------------------------------------


def test_no_secret_is_ever_logged(
    connected: Service,
    own_broker: Broker,
    cabinet: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change_settings(monkeypatch, LOG_LEVEL="DEBUG")
    connected.call("GET", "/v1/cabinets", key="a-guessed-key")
    connected.call("POST", "/v1/bookings", raw=b"{")
    assert unlock_with_reply(connected, connected.book(1), cabinet).status == 200
    connected.send_from("C-1", b"nonsense")
    connected.poll()
    own_broker.stop()
    connected.unlock(connected.book(1))
    connected.sql("DROP TABLE anomalies")
    assert connected.call("GET", "/v1/stats").status == 500
    logged = capsys.readouterr().out
    secrets = [*KEYS.values(), "a-guessed-key", PASSWORD, config.settings().api_keys[:40]]
    assert [secret for secret in secrets if secret in logged] == []


def test_every_log_record_is_a_line_of_json_with_the_request_id(
    connected: Service, cabinet: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    response = unlock_with_reply(connected, connected.book(1), cabinet)
    connected.send_from("C-1", b"nonsense")
    connected.poll()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"command sent", "anomaly", "polled"} <= {line["message"] for line in lines}
    assert all(line["level"] in {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"} for line in lines)
    assert all(line["request_id"] for line in lines)
    [line] = [line for line in lines if line.get("command_id") == response.body["command_id"]]
    assert line["request_id"] == response.headers["X-Request-Id"]
    assert (line["operation"], line["caller"]) == ("unlock_booking", "backend")
