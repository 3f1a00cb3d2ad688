"""Devices that send numbered messages, and a real bridge whose function notes what arrives."""

import base64
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from bridge.bridge import Bridge
from local.broker import DEVICE_PASSWORD
from tests.integration.bridge.bridges import bridge_settings
from tests.support.brokers import AnyBroker
from tests.support.waiting import wait_until

DEVICES = 10
_SECONDS_APART = 0.03
"""Between two messages of a device: 330 messages a second altogether."""
_IN_FLIGHT = 5
"""How many messages a device sends before it waits for their acknowledgements."""
_SECONDS_TO_ACKNOWLEDGE = 3
_SECONDS_TO_RECONNECT = 0.5
_SECONDS_TO_ARRIVE = 60


class Burst:
    """Sends from its start until `finish`, whatever happens to the broker."""

    def __init__(self, broker: AnyBroker) -> None:
        self._stopping = threading.Event()
        self._arrivals: list[tuple[float, str, int]] = []
        self._bridge = Bridge(bridge_settings(broker, bridge_client_id="bridge-burst"), self._note)
        self._senders = [_Sender(f"burst-{number}", broker) for number in range(DEVICES)]
        self._threads = [
            threading.Thread(target=sender.run, args=(self._stopping,)) for sender in self._senders
        ]

    def __enter__(self) -> Self:
        self._bridge.start()
        wait_until(lambda: self._bridge.is_connected)
        self._arrivals.clear()  # of an earlier burst
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_sending()
        self._bridge.stop()

    @property
    def sent(self) -> int:
        """How many messages the broker has acknowledged."""
        return sum(sender.sent for sender in self._senders)

    @property
    def arrived(self) -> int:
        """How many messages have arrived, repetitions included."""
        return len(self._arrivals)

    @property
    def redelivered(self) -> int:
        """How many messages arrived again."""
        return self.arrived - len({(device, number) for _, device, number in self._arrivals})

    def finish(self) -> None:
        """Stop sending, and return when all that was sent has been acknowledged and has arrived."""
        self._stop_sending()
        try:
            wait_until(lambda: not self._missing(), seconds=_SECONDS_TO_ARRIVE)
        except TimeoutError:
            return  # `lost` says what is missing

    def longest_gap(self) -> float:
        """Return the longest time in which nothing arrived, in seconds."""
        times = [at for at, _, _ in list(self._arrivals)]
        return max(after - before for before, after in pairwise(times))

    def lost(self) -> list[str]:
        """Return a line for each message that the broker has acknowledged and not delivered."""
        return [f"lost: {one}" for one in sorted(self._missing())]

    def overtaken(self) -> int:
        """Return how many messages came after a later one of their device."""
        overtaken = 0
        newest: dict[str, int] = defaultdict(lambda: -1)
        for _, device, number in self._arrivals:
            overtaken += max(0, number - newest[device] - 1)
            newest[device] = max(newest[device], number)
        return overtaken

    def _missing(self) -> set[tuple[str, int]]:
        arrived = {(device, number) for _, device, number in list(self._arrivals)}
        sent = {(s.device_id, number) for s in self._senders for number in range(s.sent)}
        return sent - arrived

    def _stop_sending(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _note(self, event: dict[str, Any]) -> Any:
        now = time.monotonic()
        for message in event["messages"]:
            payload = base64.b64decode(message["details"]["payload"])
            device = message["details"]["mqtt_topic"].split("/")[1]
            if device.startswith("burst-"):
                self._arrivals.append((now, device, int(payload)))
        return {"messages": len(event["messages"]), "anomalies": 0, "settled": []}


class _Sender:
    """A device that sends in order: first, over a new connection, what was not acknowledged."""

    def __init__(self, device_id: str, broker: AnyBroker) -> None:
        self.device_id = device_id
        self.sent = 0
        """How many messages have been acknowledged: the next one has this number."""
        self._broker = broker
        broker.add_device(device_id)

    def run(self, stopping: threading.Event) -> None:
        """Send until the test is over, and then until everything is acknowledged."""
        pending: list[int] = []
        while pending or not stopping.is_set():
            with suppress(OSError), self._connected() as client:
                while pending or not stopping.wait(_SECONDS_APART * _IN_FLIGHT):
                    pending = pending or list(range(self.sent, self.sent + _IN_FLIGHT))
                    self._send(client, pending)
            stopping.wait(_SECONDS_TO_RECONNECT)

    def _send(self, client: Client, pending: list[int]) -> None:
        """Send these messages at once, and take out those that are acknowledged in time."""
        topic = f"$devices/{self.device_id}/events"
        handed_over = [(n, client.publish(topic, str(n).encode(), qos=1)) for n in pending]
        for number, one in handed_over:
            if not _is_acknowledged(one):
                raise ConnectionError(f"message {number} was not acknowledged in time")
            pending.remove(number)
            self.sent = number + 1

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        client = Client(CallbackAPIVersion.VERSION2, self.device_id, reconnect_on_failure=False)
        client.username_pw_set(self.device_id, DEVICE_PASSWORD)
        accepted, commands = threading.Event(), f"$devices/{self.device_id}/commands"
        client.on_subscribe = lambda *_: accepted.set()
        client.connect_timeout = _SECONDS_TO_ACKNOWLEDGE
        client.connect(self._broker.host, self._broker.port, keepalive=10)
        client.subscribe(commands)
        client.loop_start()
        try:
            if not accepted.wait(_SECONDS_TO_ACKNOWLEDGE):
                raise ConnectionError("the broker did not accept the login in time")
            yield client
        finally:
            client.disconnect()
            client.loop_stop()


def _is_acknowledged(message: MQTTMessageInfo) -> bool:
    try:
        message.wait_for_publish(_SECONDS_TO_ACKNOWLEDGE)
        return message.is_published()
    except RuntimeError:  # the connection ended before it was sent
        return False
