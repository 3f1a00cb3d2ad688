"""A queue that is down, restarted, deaf or silent, and what leaves for it; with a real broker."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, Self

import pytest

from local.broker import DEVICE_PASSWORD, SERVICE_LOGIN, Broker
from shared import config, mqtt
from shared.mqtt import Publisher
from tests.database import fast_directory
from tests.integration.cable import Cable
from tests.mqtt import Client
from tests.service import KEYS, Answer, Service, running

USER, PASSWORD = SERVICE_LOGIN


@pytest.fixture(scope="module")
def own_broker() -> Iterator[Broker]:
    """A broker of this file's own, which may be stopped."""
    with fast_directory() as directory, Broker(directory) as server:
        server.add_device("C-1")
        yield server


@pytest.fixture
def wired(
    own_broker: Broker, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service with the publisher that is deployed, at the broker; one cabinet has spoken."""
    settings = {
        "MQTT_HOST": own_broker.host,
        "MQTT_PORT": str(own_broker.port),
        "MQTT_USERNAME": USER,
        "MQTT_PASSWORD": PASSWORD,
        "MQTT_TLS": "false",
    }
    try:
        with running(database_url, monkeypatch, **settings) as service:
            monkeypatch.setattr("shared.mqtt.Publisher", Publisher)
            service.add_cabinet(charges=[98, 95])
            yield service
    finally:
        own_broker.start()


@pytest.fixture
def cabinet(own_broker: Broker) -> Iterator[Client]:
    """The cabinet's own connection to the broker."""
    with cabinet_at(own_broker) as client:
        yield client


@contextmanager
def cabinet_at(broker: Broker) -> Iterator[Client]:
    with Client(broker, ("C-1", DEVICE_PASSWORD)) as client:
        client.subscribe("$devices/C-1/commands")
        client.subscribe("$registries/local/commands")
        yield client


def use(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Other settings from the next request on."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config.settings.cache_clear()


def unlock_answered(service: Service, booking: Any, cabinet: Client) -> Answer:
    """Unlock while the cabinet does what the message says that it gets."""
    with ThreadPoolExecutor(1) as other:
        answer: Future[Answer] = other.submit(service.unlock, booking)
        service._arrive("C-1", json.loads(cabinet.take().payload))
        return answer.result()


def is_unavailable(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.body["code"] == "queue_unavailable"
        and answer.headers["Retry-After"] == "1"
    )


def check_nothing_happened(service: Service, booking: Any) -> None:
    found = service.booking(booking)
    assert found["status"] == "active"
    assert [cell["state"] for cell in found["cells"]] == ["held"]
    assert [row["status"] for row in service.sql("SELECT status FROM commands")] == [
        "not_published"
    ]
    service.check_invariants()


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


# --- down, and back ---------------------------------------------------------------------------


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


# --- deaf and silent brokers ------------------------------------------------------------------

Manner = Literal["says nothing", "never acknowledges", "hangs up on a message"]


class SillyBroker:
    """A server that takes connections, and then behaves in one of these manners."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.messages = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._clients):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._clients):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        try:
            while packet := client.recv(65536):
                kind = packet[0] >> 4
                if kind == 1 and self.manner != "says nothing":
                    client.sendall(b"\x20\x02\x00\x00")  # CONNACK: accepted
                self.messages += kind == 3
                if kind == 3 and self.manner == "hangs up on a message":
                    client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher waits for a broker a fraction of a second."""
    monkeypatch.setattr(mqtt, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(mqtt, "ACKNOWLEDGE_SECONDS", 0.3)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("manner", ["never acknowledges", "hangs up on a message"])
def test_a_message_that_was_not_acknowledged_may_have_arrived(
    wired: Service, monkeypatch: pytest.MonkeyPatch, manner: Manner
) -> None:
    booking = wired.book(1)
    with SillyBroker(manner) as broker:
        use(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        answer = wired.unlock(booking)
        assert broker.messages == 1
    assert (answer.status, answer.body["code"]) == (504, "cabinet_no_answer")
    found = wired.booking(booking)
    assert found["status"] == "unlocking"
    assert [cell["state"] for cell in found["cells"]] == ["held"]
    wired.check_invariants()


@pytest.mark.usefixtures("hasty")
def test_the_answer_to_a_message_that_was_not_acknowledged_is_taken(
    wired: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = wired.book(1)
    with SillyBroker("never acknowledges") as broker:
        use(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        command_id = wired.unlock(booking).body["command_id"]
        [row] = wired.sql("SELECT payload FROM commands")
        command = {
            "v": 1,
            "command_id": command_id,
            "kind": "unlock",
            **row["payload"],
            "issued_at": "2099-01-01T00:00:00Z",
            "ttl_s": 15,
        }
        wired._arrive("C-1", command)  # it had arrived after all
        again = wired.unlock(booking)
    assert (again.status, again.body["late"]) == (200, True)
    wired.check_invariants()


@pytest.mark.usefixtures("hasty")
def test_a_server_that_never_takes_our_login_got_nothing(
    wired: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = wired.book(1)
    with SillyBroker("says nothing") as broker:
        use(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        assert is_unavailable(wired.unlock(booking))
        assert broker.messages == 0
    check_nothing_happened(wired, booking)


@pytest.mark.usefixtures("hasty")
def test_a_connection_without_an_acknowledgement_is_not_used_again(
    wired: Service, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SillyBroker("never acknowledges") as broker:
        use(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        wired.poll()
        wired.poll()
        assert (broker.messages, len(broker._clients)) == (2, 2)
    use(monkeypatch, MQTT_HOST=own_broker.host, MQTT_PORT=str(own_broker.port))
    assert wired.poll()["asked"]


def test_a_host_that_does_not_exist_is_a_queue_that_is_unavailable(
    wired: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = wired.book(1)
    use(monkeypatch, MQTT_HOST="no-such-host.invalid")
    assert is_unavailable(wired.unlock(booking))
    check_nothing_happened(wired, booking)


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
