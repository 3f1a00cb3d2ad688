"""One connection to the broker and the messages received over it.

Each connection is a new Subscription. So an acknowledgement is never sent over another connection,
where the broker may have given the same packet id to another message.
"""

import time
from collections import deque
from collections.abc import Iterable
from threading import Condition, Event, Lock
from uuid import UUID

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge import event, standby
from bridge.client import Client
from bridge.floods import Floods
from bridge.inbox import Delivery, Inbox
from bridge.settings import Settings
from shared import log
from shared.mqtt import wakeup_topic

TOPIC = "$devices/+/events"
_CLOSE_SECONDS = 0.5


class Subscription:
    """Receives messages while its connection lasts, and returns them in batches, to several lanes.

    Each device's messages stay in order: they are in one lane at a time. Devices take turns, so
    none waits for another's flood. What `Floods` refuses is acknowledged and dropped.

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
        self._acknowledging = Lock()
        self._not_before = 0.0
        self._inbox = Inbox()
        self._unacknowledged: deque[Delivery] = deque()
        self._done: set[int] = set()
        self._floods = Floods(settings.bridge_buffer_messages)
        self._ended = False
        self._client = Client(settings, settings.bridge_client_id)
        if settings.bridge_standby:
            self._client.will_set(standby.topic(settings), standby.ENDED)
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
        self._client.open()
        self._client.loop_start()

    def take(self) -> list[Delivery]:
        """Wait for messages and return a batch; empty when the subscription ended or must stop.

        Its devices are left out of other batches until it is `finish`ed. Less than a full batch
        waits until the interval since the last one has passed, whichever lane took that.
        """
        size = self._settings.bridge_batch_size
        with self._changed:
            while not self._stopping.is_set() and (self._inbox or not self._ended):
                wait = self._not_before - time.monotonic() if self._inbox.can_be_taken else None
                if wait is not None and (wait <= 0 or self._inbox.would_fill(size)):
                    interval = self._settings.bridge_batch_milliseconds / 1000
                    self._not_before = time.monotonic() + interval
                    batch = self._inbox.take(size)
                    if self._inbox.can_be_taken:
                        self._changed.notify()
                    return batch
                self._changed.wait(wait)
        return []

    def finish(self, batch: list[Delivery]) -> None:
        """Acknowledge a batch that was taken and delivered, and let its devices go on."""
        with self._changed:
            self._inbox.finish(batch)
            self._changed.notify_all()
        self._acknowledge(batch)

    def announce(self, settled: Iterable[UUID]) -> None:
        """Tell those who wait for these commands that they are settled; it may be lost."""
        for command_id in settled:
            self._client.publish(wakeup_topic(command_id), qos=0)

    def give_sign(self) -> None:
        """Tell the bridges that stand by that this one is active."""
        if self._settings.bridge_standby and self.is_live:
            self._client.publish(standby.topic(self._settings), standby.ACTIVE)

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
        if self._settings.bridge_standby:
            self._client.publish(standby.topic(self._settings), standby.ENDED)
        self._client.disconnect()
        self._client.finished.wait(_CLOSE_SECONDS)
        self._client.forget_callbacks()

    def _acknowledge(self, deliveries: list[Delivery]) -> None:
        """Acknowledge messages to the broker; no effect after the connection has ended.

        MQTT requires the order of arrival: a message waits for those that arrived before it.
        """
        with self._acknowledging:
            with self._changed:
                self._done.update(delivery.packet_id for delivery in deliveries if delivery.qos)
                ready = []
                while self._unacknowledged and self._unacknowledged[0].packet_id in self._done:
                    ready.append(self._unacknowledged.popleft())
                    self._done.discard(ready[-1].packet_id)
            for delivery in ready:
                self._client.ack(delivery.packet_id, delivery.qos)

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
        self.give_sign()
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
            if self._ended:
                self._changed.notify_all()
            else:
                self._changed.notify()  # one lane is enough for one message
        if refused:
            self._acknowledge([delivery])

    def _finished(self, result: MQTTErrorCode) -> None:
        if not self._stopping.is_set():
            log.warning("connection to the broker ended", reason=paho.error_string(result))
        with self._changed:
            self._ended = True
            self._changed.notify_all()
