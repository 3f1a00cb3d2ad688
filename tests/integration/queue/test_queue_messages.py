"""What leaves for the queue and what is logged of it; with a real broker."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.broker import Broker
from shared import config
from tests.integration.cable import Cable
from tests.integration.queue.wired import (
    PASSWORD,
    cabinet_at,
    unlock_answered,
    use,
)
from tests.mqtt import Client
from tests.service import KEYS, Service


@pytest.fixture
def cabinet(own_broker: Broker) -> Iterator[Client]:
    """The cabinet's own connection to the broker."""
    with cabinet_at(own_broker) as client:
        yield client


# --- what leaves ------------------------------------------------------------------------------


def test_a_command_goes_to_its_cabinets_topic_once_and_is_not_retained(
    wired: Service, cabinet: Client
) -> None:
    booking = wired.book(1)
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(wired.unlock, booking)
        message = cabinet.take()
        command = json.loads(message.payload)
        wired._arrive("C-1", command)
        assert answer.result().status == 200
    assert message.topic == "$devices/C-1/commands"
    assert (message.qos, message.retain, message.dup) == (1, False, False)
    assert (command["kind"], command["cells"], command["ttl_s"]) == ("unlock", [1], 15)
    assert command["command_id"] == answer.result().body["command_id"]
    assert not cabinet.has_received()


def test_the_poll_goes_to_the_registrys_topic_once(wired: Service, cabinet: Client) -> None:
    assert wired.poll()["asked"]
    message = cabinet.take()
    assert message.topic == "$registries/local/commands"
    assert (message.qos, message.retain) == (1, False)
    assert json.loads(message.payload)["kind"] == "report_state"
    assert not cabinet.has_received()


def test_nothing_is_kept_for_who_comes_later(wired: Service, own_broker: Broker) -> None:
    wired.poll()
    with cabinet_at(own_broker) as late:
        wired.poll()
        late.take()
        assert not late.has_received()


def test_an_instance_keeps_its_connection(wired: Service, own_broker: Broker) -> None:
    with Cable(own_broker.host, own_broker.port) as cable:
        with pytest.MonkeyPatch.context() as patch:
            use(patch, MQTT_PORT=str(cable.port))
            for _ in range(3):
                assert wired.poll()["asked"]
            assert len(cable._open) == 2  # one client, one server
        config.settings.cache_clear()


# --- what is logged ---------------------------------------------------------------------------


def test_no_secret_is_ever_logged(
    wired: Service,
    own_broker: Broker,
    cabinet: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use(monkeypatch, LOG_LEVEL="DEBUG")
    wired.call("GET", "/v1/cabinets", key="a-guessed-key")
    wired.call("POST", "/v1/bookings", raw=b"{")
    assert unlock_answered(wired, wired.book(1), cabinet).status == 200
    wired.say("C-1", b"nonsense")
    wired.poll()
    own_broker.stop()
    wired.unlock(wired.book(1))
    wired.sql("DROP TABLE anomalies")
    assert wired.call("GET", "/v1/stats").status == 500
    logged = capsys.readouterr().out
    secrets = [*KEYS.values(), "a-guessed-key", PASSWORD, config.settings().api_keys[:40]]
    assert [secret for secret in secrets if secret in logged] == []


def test_every_record_is_a_line_of_json_with_the_requests_id(
    wired: Service, cabinet: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = unlock_answered(wired, wired.book(1), cabinet)
    wired.say("C-1", b"nonsense")
    wired.poll()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"command sent", "anomaly", "polled"} <= {line["message"] for line in lines}
    assert all(line["level"] in {"DEBUG", "INFO", "WARN", "ERROR", "FATAL"} for line in lines)
    assert all(line["request_id"] for line in lines)
    [sent] = [line for line in lines if line.get("command_id") == answer.body["command_id"]]
    assert sent["request_id"] == answer.headers["X-Request-Id"]
    assert (sent["operation"], sent["caller"]) == ("unlock_booking", "backend")
