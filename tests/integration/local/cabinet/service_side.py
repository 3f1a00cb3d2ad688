"""The service's side of a cabinet's connection: it sends commands and receives events."""

import json
import queue
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN, Broker
from local.cabinet.device import Device

SECONDS = 20


class ServiceSide:
    """Publishes commands and receives every cabinet's events."""

    def __init__(self, broker: Broker) -> None:
        self.received: queue.Queue[bytes] = queue.Queue()
        self.last_wills: list[dict[str, Any]] = []
        self._positions: set[tuple[str, int]] = set()
        self._publisher = self._connect(broker, SERVICE_LOGIN)
        self._listener = self._connect(broker, BRIDGE_LOGIN)
        self._listener.on_message = self._on_message
        subscribed: queue.Queue[None] = queue.Queue()
        self._listener.on_subscribe = lambda *_: subscribed.put(None)
        self._listener.subscribe("$devices/+/events", qos=1)
        subscribed.get(timeout=SECONDS)

    def close(self) -> None:
        for client in (self._publisher, self._listener):
            client.disconnect()
            client.loop_stop()

    def command(self, kind: str, *, topic: str = "$devices/C-001/commands", **fields: Any) -> str:
        """Publish a command; return its id."""
        issued_at = datetime.now(UTC).isoformat()
        common = {"v": 1, "command_id": str(uuid4()), "issued_at": issued_at, "ttl_s": 15}
        body = {**common, "kind": kind, **fields}
        info = self._publisher.publish(topic, json.dumps(body), qos=1)
        info.wait_for_publish(SECONDS)
        return str(body["command_id"])

    def receive(self) -> dict[str, Any]:
        """Return the next message; skip last wills and what QoS 1 delivers again."""
        while True:
            message: dict[str, Any] = json.loads(self.received.get(timeout=SECONDS))
            position = (message["boot_id"], message.get("seq", -1))
            if message["type"] == "goodbye":
                self.last_wills.append(message)
            elif position not in self._positions:
                self._positions.add(position)
                return message

    def receive_until(self, is_last: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return all messages up to the first for which `is_last` is true."""
        messages = [self.receive()]
        while not is_last(messages[-1]):
            messages.append(self.receive())
        return messages

    def reply_to(self, command_id: str) -> dict[str, Any]:
        return self.receive_until(lambda message: message.get("command_id") == command_id)[-1]

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.received.put(bytes(message.payload))

    def _connect(self, broker: Broker, login: tuple[str, str]) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"test-{uuid4()}")
        client.username_pw_set(*login)
        connected: queue.Queue[None] = queue.Queue()
        client.on_connect = lambda *_: connected.put(None)
        client.connect(broker.host, broker.port_of(login[0]))
        client.loop_start()
        connected.get(timeout=SECONDS)
        return client


def filled(device: Device) -> int:
    cells = device.hardware.cells.values()
    return next(cell.cell_number for cell in cells if cell.accumulator)
