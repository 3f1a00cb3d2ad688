"""One connection to the broker and the messages received over it.

Each connection is a new Subscription. So an acknowledgement is never sent over another connection,
where the broker may have given the same packet id to another message.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, Event
from uuid import UUID

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge import event
from bridge.floods import Floods
from bridge.inbox import Delivery, Inbox
from bridge.settings import Settings
from shared import log
from shared.mqtt import wakeup_topic

TOPIC = "$devices/+/events"
_KEEPALIVE_SECONDS = 10
"""A broker that has fallen silent is noticed after at most twice this."""
_CONNECT_SECONDS = 3.0
_CLOSE_SECONDS = 0.5


class Subscription:
    """Receives messages while its connection lasts, and returns them in batches.

    Each device's messages stay in order; devices take turns, so none waits for another's flood.
    What `Floods` refuses is acknowledged and dropped.

    When the connection ends or the inbox overflows, it receives nothing more. `take` still returns
    what is in the inbox, then always an empty list. The broker sends messages that were not
    acknowledged again over the next connection.
    """

    def __init__(self, settings: Settings, stopping: Event) -> None:
        self.granted = False
        """Whether the broker has accepted the subscription."""
        self._settings = settings
        self._stopping = stopping
        self._confirmed_packet_id: int | None = None
        self._changed = Condition()
        self._inbox = Inbox()
        self._unacknowledged: deque[Delivery] = deque()
        self._done: set[int] = set()
        self._floods = Floods(settings.bridge_buffer_messages)
        self._ended = False
        self._client = _Client(settings)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._granted
        self._client.on_message = self._arrived
        self._client.on_finished = self._finished

    @property
    def is_live(self) -> bool:
        """Whether messages are being received."""
        return self.granted and not self._ended

    @property
    def waiting(self) -> int:
        """The number of messages in the inbox."""
        return len(self._inbox)

    def open(self) -> None:
        """Connect and start receiving. Raises OSError if the broker cannot be reached."""
        self._client.connect(
            self._settings.mqtt_host, self._settings.mqtt_port, keepalive=_KEEPALIVE_SECONDS
        )
        self._client.loop_start()

    def take(self, *, not_before: float) -> list[Delivery]:
        """Wait for messages and return a batch; empty when the subscription ended or must stop.

        Less than a full batch waits until `not_before` (monotonic clock, seconds).
        """
        with self._changed:
            while not self._stopping.is_set() and (self._inbox or not self._ended):
                wait = not_before - time.monotonic() if self._inbox else None
                size = self._settings.bridge_batch_size
                if wait is not None and (wait <= 0 or self._inbox.would_fill(size)):
                    return self._inbox.take(size)
                self._changed.wait(wait)
        return []

    def acknowledge(self, deliveries: list[Delivery]) -> None:
        """Acknowledge messages to the broker; no effect after the connection has ended.

        MQTT requires the order of arrival: a message waits for those that arrived before it.
        """
        with self._changed:
            self._done.update(delivery.packet_id for delivery in deliveries if delivery.qos)
            ready = []
            while self._unacknowledged and self._unacknowledged[0].packet_id in self._done:
                ready.append(self._unacknowledged.popleft())
                self._done.discard(ready[-1].packet_id)
        for delivery in ready:
            self._client.ack(delivery.packet_id, delivery.qos)

    def announce(self, settled: Iterable[UUID]) -> None:
        """Tell those who wait for these commands that they are settled; it may be lost."""
        for command_id in settled:
            self._client.publish(wakeup_topic(command_id), qos=0)

    def wake(self) -> None:
        """Make `take` check whether to stop."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Disconnect when the broker has received the acknowledgements, or after a time limit.

        A repeated subscription is sent after them; the broker's reply to it shows that it has read
        them. Closing at once could reset the connection and lose them.
        """
        _, packet_id = self._client.subscribe(TOPIC, qos=1)
        with self._changed:
            self._changed.wait_for(
                lambda: self._confirmed_packet_id == packet_id or self._client.finished.is_set(),
                _CLOSE_SECONDS,
            )
        self._client.disconnect()
        self._client.finished.wait(_CLOSE_SECONDS)
        self._client.forget_callbacks()

    def _connected(
        self,
        client: paho.Client,
        _userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.error("broker refused the bridge; check its login", reason=str(reason))
            return
        log.info("connected to the broker", session_present=flags.session_present)
        # Even in an existing session, which may lack the subscription.
        client.subscribe(TOPIC, qos=1)

    def _granted(
        self,
        client: paho.Client,
        _userdata: object,
        packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self.granted = not reasons[0].is_failure
        with self._changed:
            self._floods.begin()
            self._confirmed_packet_id = packet_id
            self._changed.notify_all()
        if not self.granted:
            log.error("broker refused the subscription; check its access list", topic=TOPIC)
            client.disconnect()

    def _arrived(
        self, client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:  # on the network thread, which must neither block nor raise
        try:
            entry = event.message(
                message.topic, bytes(message.payload), registry_id=self._settings.registry_id
            )
        except ValueError as error:  # UnexpectedTopic, or a topic that is not UTF-8
            log.error("message dropped; its topic is not a device's", topic=str(error))
            client.ack(message.mid, message.qos)
            return
        size = len(message.payload)
        if size > event.PAYLOAD_BYTES:
            log.warning("payload too large; truncated", topic=message.topic, bytes=size)
        self._put(Delivery(message.mid, message.qos, size, time.monotonic(), entry))

    def _put(self, delivery: Delivery) -> None:
        with self._changed:
            if self._ended or self._stopping.is_set():
                return
            if delivery.qos:
                self._unacknowledged.append(delivery)
            refused = self._floods.refuse(delivery, self._inbox, len(self._unacknowledged))
            has_room = len(self._inbox) < self._settings.bridge_buffer_messages
            if has_room and not refused:
                self._inbox.put(delivery)
            elif not refused:
                self._ended = True
                log.warning(
                    "buffer full; the broker keeps the other messages until the next connection",
                    messages=len(self._inbox),
                    hint="the broker's inflight window should be half of BRIDGE_BUFFER_MESSAGES",
                )
            self._changed.notify_all()
        if refused:
            self.acknowledge([delivery])

    def _finished(self, result: MQTTErrorCode) -> None:
        if not self._stopping.is_set():
            log.warning("connection to the broker ended", reason=paho.error_string(result))
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class _Client(paho.Client):
    """A client for one connection: it does not reconnect, and reports when it has finished."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            settings.bridge_client_id,
            clean_session=False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self.finished = Event()
        self.on_finished: Callable[[MQTTErrorCode], None] | None = None
        self.connect_timeout = _CONNECT_SECONDS
        self.on_socket_open = _send_at_once
        if settings.mqtt_username:
            self.username_pw_set(settings.mqtt_username, settings.mqtt_password)
        if settings.mqtt_tls:
            self.tls_set(ca_certs=str(settings.mqtt_ca_file) if settings.mqtt_ca_file else None)

    def loop_forever(
        self,
        timeout: float = 1.0,
        retry_first_connection: bool = False,  # noqa: FBT001, FBT002 - paho's signature
    ) -> MQTTErrorCode:
        """Run paho's network loop; when it returns or raises, the connection has ended."""
        result = MQTTErrorCode.MQTT_ERR_UNKNOWN
        try:
            result = super().loop_forever(timeout, retry_first_connection)
        finally:
            self.finished.set()
            if self.on_finished:
                self.on_finished(result)
        return result

    def forget_callbacks(self) -> None:
        """Break the reference cycles, so that sockets are closed without garbage collection."""
        self.on_connect = self.on_subscribe = self.on_message = self.on_finished = None


def _send_at_once(_client: paho.Client, _userdata: object, sock: object) -> None:
    # Nagle's algorithm would delay the many small acknowledgements.
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
