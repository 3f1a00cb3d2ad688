"""A simulated cabinet on the network: its hardware, and an MQTT client that can fail as well."""

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
from local.cabinet.runtime import Runtime

QUEUED_MESSAGES = 1000  # while there is no network; any more are lost

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def _encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _with_unknown_command(message: Message) -> Message:
    return message | {"command_id": "00000000-0000-4000-8000-000000000000"}


REPLY_MODES: dict[str, Callable[[Message], list[bytes]]] = {
    "once": lambda message: [_encode(message)],
    "twice": lambda message: [_encode(message)] * 2,  # an exact duplicate: the same seq
    "never": lambda _: [],  # executes, but does not reply
    "corrupt": lambda message: [_encode(message)[: len(_encode(message)) // 2]],
    "foreign": lambda message: [_encode(_with_unknown_command(message))],
    "deaf": lambda _: [],  # connected, but ignores commands
}


class Device:
    """The MQTT client of a cabinet.

    `reply_mode` (a key of REPLY_MODES), `reply_delay_s` and `hold` change its replies to commands.
    It notices a broker that has fallen silent after at most twice `keepalive_s`.
    Without a network its messages wait in paho's queue.
    """

    def __init__(self, hardware: Hardware, runtime: Runtime, *, registry_id: str = "local") -> None:
        self.hardware = hardware
        self.device_id = hardware.cabinet_id
        self.reply_mode = "once"
        self.reply_delay_s = 0.0
        self.keepalive_s = 30
        self.missed_commands = 0  # while deaf or without a network
        self._runtime = runtime
        self._events = f"$devices/{self.device_id}/events"
        self._commands = f"$devices/{self.device_id}/commands"
        self._broadcasts = f"$registries/{registry_id}/commands"
        self._held: list[list[bytes]] | None = None
        self._client: Client | None = None
        self._no_network = False
        self._subscribed = threading.Event()

    # --- Power and network --------------------------------------------------------------------

    def start(
        self, host: str, port: int, *, password: str = DEVICE_PASSWORD, ca_file: str = ""
    ) -> None:
        """Boot, and connect in the background, by TLS if `ca_file` is given."""
        self._no_network = False
        if self.hardware.seq:  # it ran before
            self.hardware.reboot()
        self._client = client = self._make_client()
        client.username_pw_set(self.device_id, password)
        if ca_file:
            client.tls_set(ca_file)
        client.max_queued_messages_set(QUEUED_MESSAGES)
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.connect_async(host, port, keepalive=self.keepalive_s)
        self._runtime.network.add(client)

    def stop(self) -> None:
        """Start to disconnect from the broker."""
        client, self._client = self._client, None
        if client:
            self._runtime.network.remove(client)
            self._subscribed.clear()

    @property
    def online(self) -> bool:
        """Whether it is subscribed to its commands."""
        return self._subscribed.is_set()

    def wait_online(self, seconds: float = 10) -> bool:
        """Wait until it is online; return False after this time."""
        return self._subscribed.wait(seconds)

    def disconnect(self) -> None:
        """Cut the network: commands are lost, the cabinet's own messages wait."""
        self._no_network = True
        self._drop_connection()

    def reconnect(self) -> None:
        """Restore the network; the cabinet connects within a second."""
        self._no_network = False

    def reboot(self) -> None:
        """Reboot: a new boot_id and a new connection, then hello and a state report."""
        with self._runtime.lock:
            self.hardware.reboot()
            self._runtime.on_change(self.device_id)
        self._drop_connection()

    # --- Changes and messages -----------------------------------------------------------------

    def act(self, operation: Callable[[Hardware], _T]) -> _T:
        """Perform an operation on the hardware, and send the messages of its sensors."""
        with self._runtime.lock:
            result = operation(self.hardware)
            messages = self.hardware.poll_sensors()
            self._runtime.on_change(self.device_id)
            for message in messages:
                self.send(message)
        return result

    def report(self) -> None:
        """Send a state report, if online."""
        with self._runtime.lock:
            if self.online:
                self.send(self.hardware.state_report())

    def send(self, message: Message) -> None:
        """Send a message as an event."""
        self.send_raw(_encode(message))

    def send_raw(self, payload: bytes) -> None:
        """Send bytes as an event."""
        if self._client:
            self._client.publish(self._events, payload, qos=1)
            self._runtime.network.flush(self._client)

    def hold(self) -> None:
        """Hold replies back until `release`."""
        with self._runtime.lock:
            self._held = self._held or []

    def release(self, order: Sequence[int] | None = None) -> int:
        """Send the held replies in this order of indices, or all; return how many were held."""
        with self._runtime.lock:
            held, self._held = self._held or [], None
            for index in range(len(held)) if order is None else order:
                self._send_all(held[index])
        return len(held)

    def _make_client(self) -> Client:
        return CabinetClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.device_id,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
        )

    def _subscribe(self, client: Client) -> None:
        client.subscribe([(self._commands, 0), (self._broadcasts, 0)])

    def _make_will(self) -> bytes:
        return _encode(self.hardware.connect())

    def _execute(self, payload: bytes, *, broadcast: bool) -> None:
        try:
            command: object = json.loads(payload)
        except ValueError:
            command = None
        with self._runtime.lock:
            replies = self.hardware.handle(command, broadcast=broadcast)
            self._runtime.on_change(self.device_id)
            for reply in replies:
                if reply.after_s:
                    self._runtime.call_later(reply.after_s, partial(self._reply, reply))
                else:
                    self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        with self._runtime.lock:
            payloads = REPLY_MODES[self.reply_mode](reply.make())
            if self._held is not None:
                self._held.append(payloads)
            elif self.reply_delay_s:
                self._runtime.call_later(self.reply_delay_s, partial(self._send_all, payloads))
            else:
                self._send_all(payloads)

    def _send_all(self, payloads: list[bytes]) -> None:
        for payload in payloads:
            self.send_raw(payload)

    def _send_first_messages(self) -> None:
        self.send(self.hardware.hello())
        self.send(self.hardware.state_report())

    def _drop_connection(self) -> None:
        self._subscribed.clear()
        connection: Any = self._client.socket() if self._client else None
        if connection:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                _log.debug("%s was not connected", self.device_id)

    # --- Callbacks of paho, on the network's thread -------------------------------------------

    def _on_pre_connect(self, client: Client, _userdata: Any) -> None:
        if self._no_network:
            raise ConnectionError("the simulated network is down")
        with self._runtime.lock:
            client.will_set(self._events, self._make_will(), qos=1)

    def _on_connect(
        self, client: Client, _userdata: Any, _flags: ConnectFlags, code: ReasonCode, _: Any
    ) -> None:
        if self._no_network:  # cut while it was connecting
            self._drop_connection()
        elif code.is_failure:
            _log.warning("the broker refuses the login of %s: %s", self.device_id, code)
        else:
            self._subscribe(client)

    def _on_subscribe(
        self, _client: Client, _userdata: Any, _mid: int, codes: list[ReasonCode], _: Properties
    ) -> None:
        if any(code.is_failure for code in codes):
            _log.warning("the broker refuses the subscription of %s: %s", self.device_id, codes)
            return
        with self._runtime.lock:
            self._send_first_messages()
            self._subscribed.set()

    def _on_disconnect(self, *_: Any) -> None:
        self._subscribed.clear()

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        if self.reply_mode == "deaf" or self._no_network:
            self.missed_commands += 1
        else:
            self._execute(bytes(message.payload), broadcast=message.topic == self._broadcasts)
