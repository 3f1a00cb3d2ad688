"""A simulated cabinet on the network: its hardware behind one MQTT client that may fail as well."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from local.broker import DEVICE_PASSWORD
from local.cabinet.hardware import Hardware, Message, Reply
from local.cabinet.network import CabinetClient
from local.cabinet.world import World

QUEUED_MESSAGES = 1000  # kept while there is no network; the newest beyond that are lost

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def _encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _of_nobody(message: Message) -> Message:
    return message | {"command_id": "00000000-0000-4000-8000-000000000000"}


ANSWERS: dict[str, Callable[[Message], list[bytes]]] = {
    "once": lambda message: [_encode(message)],
    "twice": lambda message: [_encode(message)] * 2,  # an exact duplicate: the same seq
    "never": lambda _: [],  # executes, but says nothing
    "corrupt": lambda message: [_encode(message)[: len(_encode(message)) // 2]],
    "foreign": lambda message: [_encode(_of_nobody(message))],
    "deaf": lambda _: [],  # connected, but commands do not even reach it
}


class Device:
    """One cabinet's MQTT client.

    `answer` (a key of ANSWERS), `delay_s` and `hold` say what becomes of its replies to commands.
    While it has no network its messages wait in paho's queue and are sent when it is back.
    """

    def __init__(self, hardware: Hardware, world: World, *, registry_id: str = "local") -> None:
        self.hardware = hardware
        self.device_id = hardware.cabinet_id
        self.answer = "once"
        self.delay_s = 0.0
        self.missed = 0  # commands that came to deaf ears
        self._world = world
        self._events = f"$devices/{self.device_id}/events"
        self._commands = f"$devices/{self.device_id}/commands"
        self._broadcasts = f"$registries/{registry_id}/commands"
        self._held: list[list[bytes]] | None = None
        self._client: Client | None = None
        self._no_network = False
        self._subscribed = threading.Event()
        self._greeted = False  # whether hello was said since power-up

    # Its life and its network

    def start(
        self, host: str, port: int, *, password: str = DEVICE_PASSWORD, ca_file: str = ""
    ) -> None:
        """Power up and connect in the background, again and again until the broker is there.

        With the file of a CA by TLS.
        """
        self._no_network = self._greeted = False
        if self.hardware.seq:  # it has run before
            self.hardware.reboot()
        self._client = client = CabinetClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.device_id,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        client.username_pw_set(self.device_id, password)
        if ca_file:
            client.tls_set(ca_file)
        client.max_queued_messages_set(QUEUED_MESSAGES)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.connect_async(host, port, keepalive=30)
        self._world.network.serve(client)

    def stop(self) -> None:
        """Begin to leave the broker."""
        client, self._client = self._client, None
        if client:
            self._world.network.leave(client)
            self._subscribed.clear()

    @property
    def online(self) -> bool:
        """Whether commands reach it."""
        return self._subscribed.is_set()

    def wait_online(self, seconds: float = 10) -> bool:
        """Wait until commands reach it; False when the time is over."""
        return self._subscribed.wait(seconds)

    def disconnect(self) -> None:
        """Lose the network abruptly: commands are lost, its own messages wait."""
        self._no_network = True
        self._drop_connection()

    def reconnect(self) -> None:
        """Find the network again; it is used within a second."""
        self._no_network = False

    def reboot(self) -> None:
        """Power off and on: a new boot_id, a new connection, then hello and a state report."""
        with self._world.lock:
            self.hardware.reboot()
            self._greeted = False
            self._world.changed(self.device_id)
        self._drop_connection()

    # What happens to it, and what it says

    def act(self, operation: Callable[[Hardware], _T]) -> _T:
        """Do something to the hardware; what its sensors notice is told."""
        with self._world.lock:
            result = operation(self.hardware)
            noticed = self.hardware.noticed()
            self._world.changed(self.device_id)
            for message in noticed:
                self.say(message)
        return result

    def report(self) -> None:
        """Say the complete state unasked, if there is a network."""
        with self._world.lock:
            if self.online:
                self.say(self.hardware.state_report())

    def say(self, message: Message) -> None:
        """Send a message of any content."""
        self.say_raw(_encode(message))

    def say_raw(self, payload: bytes) -> None:
        """Send any bytes as an event."""
        if self._client:
            self._client.publish(self._events, payload, qos=1)
            self._world.network.flush(self._client)

    def hold(self) -> None:
        """Keep replies back from now on, until `release`."""
        with self._world.lock:
            self._held = self._held or []

    def release(self, order: Sequence[int] | None = None) -> int:
        """Send the held replies, as they came or by these indices; return how many there were."""
        with self._world.lock:
            held, self._held = self._held or [], None
            for index in range(len(held)) if order is None else order:
                self._send(held[index])
        return len(held)

    def _obey(self, payload: bytes, *, broadcast: bool) -> None:
        try:
            command: object = json.loads(payload)
        except ValueError:
            command = None
        with self._world.lock:
            replies = self.hardware.handle(command, broadcast=broadcast)
            self._world.changed(self.device_id)
            for reply in replies:
                if reply.after_s:
                    self._world.after(reply.after_s, partial(self._reply, reply))
                else:
                    self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        with self._world.lock:
            payloads = ANSWERS[self.answer](reply.make())
            if self._held is not None:
                self._held.append(payloads)
            elif self.delay_s:
                self._world.after(self.delay_s, partial(self._send, payloads))
            else:
                self._send(payloads)

    def _send(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            self.say_raw(payload)

    def _greet(self) -> None:
        if not self._greeted:
            self._greeted = True
            self.say(self.hardware.hello())
        self.say(self.hardware.state_report())

    def _drop_connection(self) -> None:
        self._subscribed.clear()
        connection: Any = self._client.socket() if self._client else None
        if connection:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                _log.debug("%s had lost its connection already", self.device_id)

    # What paho calls, on the network's thread

    def _on_pre_connect(self, _client: Client, _userdata: Any) -> None:
        if self._no_network:
            raise ConnectionError("the simulated network is down")

    def _on_connect(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, code: ReasonCode, _: Any
    ) -> None:
        if self._no_network:  # lost while it was connecting
            self._drop_connection()
        elif code.is_failure:
            _log.warning("the broker refuses %s: %s", self.device_id, code)
        else:
            client.subscribe([(self._commands, 0), (self._broadcasts, 0)])

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, codes: list[ReasonCode], _: Properties
    ) -> None:
        if any(code.is_failure for code in codes):
            _log.warning("the broker does not let %s subscribe: %s", self.device_id, codes)
            return
        with self._world.lock:
            self._greet()
            self._subscribed.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._subscribed.clear()

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if self.answer == "deaf" or self._no_network:
            self.missed += 1
        else:
            self._obey(bytes(message.payload), broadcast=message.topic == self._broadcasts)
