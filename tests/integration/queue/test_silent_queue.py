"""A queue that is deaf or silent: what was not acknowledged may have arrived."""

import socket
import threading
from typing import Literal, Self

import pytest

from local.broker import Broker
from shared import mqtt
from tests.integration.queue.wired import (
    check_nothing_happened,
    is_unavailable,
    use,
)
from tests.service import Service

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
