"""A broker that does not respond: a command without an acknowledgement may have arrived."""

import socket
import threading
from typing import Literal, Self

import pytest

from local.broker import Broker
from shared import mqtt
from tests.integration.broker.connected_service import (
    assert_nothing_changed,
    is_unavailable,
)
from tests.support.service import Service, change_settings

Fault = Literal[
    "never responds", "never acknowledges", "disconnects on a message", "refuses MQTT 5"
]
MQTT_5 = 5


class FaultyBroker:
    """A server that accepts connections and then has one of these faults."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
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
                if kind == 1 and self.fault != "never responds":
                    client.sendall(self._connack(packet))
                self.messages += kind == 3
                if kind == 3 and self.fault == "disconnects on a message":
                    client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _connack(self, connect: bytes) -> bytes:
        if connect[connect.index(b"MQTT") + 4] != MQTT_5:
            return b"\x20\x02\x00\x00"
        if self.fault == "refuses MQTT 5":
            return b"\x20\x02\x00\x01"  # as a broker that knows only 3.1.1
        return b"\x20\x03\x00\x00\x00"


@pytest.fixture
def short_time_outs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher waits 0.3 s for an acknowledgement, and an unlock 0.3 s for its result."""
    monkeypatch.setattr(mqtt, "ACKNOWLEDGE_SECONDS", 0.3)
    change_settings(monkeypatch, UNLOCK_WAIT_SECONDS="0.3")


@pytest.mark.usefixtures("connected", "short_time_outs")
@pytest.mark.parametrize("fault", ["never acknowledges", "disconnects on a message"])
def test_an_unlock_that_the_broker_does_not_acknowledge_is_unsettled(
    connected: Service, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    booking = connected.book(1)
    with FaultyBroker(fault) as broker:
        change_settings(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        response = connected.unlock(booking)
        assert broker.messages == 1
    assert (response.status, response.body["code"]) == (504, "cabinet_no_answer")
    found = connected.booking(booking)
    assert found["status"] == "unlocking"
    assert [cell["state"] for cell in found["cells"]] == ["held"]
    connected.check_invariants()


@pytest.mark.usefixtures("connected", "short_time_outs")
def test_a_reply_to_an_unacknowledged_command_is_applied(
    connected: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    booking = connected.book(1)
    with FaultyBroker("never acknowledges") as broker:
        change_settings(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        command_id = connected.unlock(booking).body["command_id"]
        [row] = connected.sql("SELECT payload FROM commands")
        command = {
            "v": 1,
            "command_id": command_id,
            "kind": "unlock",
            **row["payload"],
            "issued_at": "2099-01-01T00:00:00Z",
            "ttl_s": 15,
        }
        connected._arrive("C-1", command)  # the unacknowledged command did arrive
        again = connected.unlock(booking)
    assert (again.status, again.body["late"]) == (200, True)
    connected.check_invariants()


@pytest.mark.usefixtures("connected", "short_time_outs")
def test_a_server_that_never_answers_the_login_receives_no_message(
    connected: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_SECONDS", 0.3)
    booking = connected.book(1)
    with FaultyBroker("never responds") as broker:
        change_settings(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        assert is_unavailable(connected.unlock(booking))
        assert broker.messages == 0
    assert_nothing_changed(connected, booking)


@pytest.mark.usefixtures("connected", "short_time_outs")
def test_a_broker_that_refuses_mqtt_5_receives_commands_only_if_3_1_1_is_set(
    connected: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    booking = connected.book(1)
    with FaultyBroker("refuses MQTT 5") as broker:
        port = str(broker.port)
        change_settings(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=port, MQTT_VERSION="5")
        assert is_unavailable(connected.unlock(booking))
        assert_nothing_changed(connected, booking)
        logged = capsys.readouterr().out
        assert "Unsupported protocol version" in logged
        assert '"mqtt_version":"5"' in logged.replace(" ", "")
        change_settings(monkeypatch, MQTT_VERSION="3.1.1")
        assert connected.poll()["asked"]
        assert broker.messages == 1


@pytest.mark.usefixtures("connected", "short_time_outs")
def test_a_connection_without_an_acknowledgement_is_not_reused(
    connected: Service, own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyBroker("never acknowledges") as broker:
        change_settings(monkeypatch, MQTT_HOST="127.0.0.1", MQTT_PORT=str(broker.port))
        connected.poll()
        connected.poll()
        assert (broker.messages, len(broker._clients)) == (2, 2)
    port = str(own_broker.port_of("service"))
    change_settings(monkeypatch, MQTT_HOST=own_broker.host, MQTT_PORT=port)
    assert connected.poll()["asked"]
