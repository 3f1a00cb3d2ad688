"""An MQTT client for tests, which waits for acknowledgements and stores what it receives."""

import queue
import socket
import threading
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.brokers import AnyBroker
from tests.support.given_broker import host_of, prepare
from tests.support.waiting import wait_until

SECONDS = 20


class Client:
    """An MQTT client that stores what it receives."""

    def __init__(
        self,
        broker: AnyBroker,
        login: tuple[str, str] | None,
        *,
        client_id: str = "",
        persistent: bool = False,
        **options: Any,
    ) -> None:
        """`options`: paho's `manual_ack`, `protocol`."""
        is_5 = options.get("protocol") == MQTTProtocolVersion.MQTTv5
        self._session: dict[str, Any] = {}
        if is_5 and persistent:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
            properties.SessionExpiryInterval = 3600
            self._session = {"clean_start": False, "properties": properties}
        self._broker = broker
        self._broker_host = host_of(broker, login[0] if login else "")
        self._port = broker.port_of(login[0] if login else "")
        self._reasons: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        self.disconnected = threading.Event()
        self._paho = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or str(uuid4()),
            clean_session=None if is_5 else not persistent,
            reconnect_on_failure=False,
            **options,
        )
        prepare(self._paho, broker, login)
        self._paho.on_connect = lambda _c, _u, _f, reason, _p: self._reasons.put(reason)
        self._paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self._reasons.put(reasons[0])
        self._paho.on_message = lambda _c, _u, message: self._messages.put(message)
        self._paho.on_disconnect = lambda *_: self.disconnected.set()

    def __enter__(self) -> Self:
        reason = self.connect()
        assert not reason.is_failure, f"the broker refuses the login: {reason}"
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> Any:
        """Connect and return the broker's reason code."""
        self._paho.connect(self._broker_host, self._port, **self._session)
        self._paho.loop_start()
        return self._reasons.get(timeout=SECONDS)

    def close(self) -> None:
        """Disconnect."""
        self._paho.disconnect()
        self._end()

    def drop(self) -> None:
        """Break the connection without a DISCONNECT packet."""
        connection = self._paho.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        self._end()

    def subscribe(self, topic: str, *, qos: int = 1) -> Any:
        self._paho.subscribe(topic, qos)
        return self._reasons.get(timeout=SECONDS)

    def attempt_to_subscribe(self, topic: str) -> None:
        """Subscribe to a forbidden topic: the broker refuses that or drops the connection."""
        self._paho.subscribe(topic, 1)
        wait_until(lambda: not self._reasons.empty() or self.disconnected.is_set(), seconds=SECONDS)
        if not self._reasons.empty():
            self._reasons.get()

    def publish(self, topic: str, *payloads: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish, and return when the broker has acknowledged every message."""
        for sent in [self._paho.publish(topic, payload, qos, retain) for payload in payloads]:
            sent.wait_for_publish(SECONDS)
            assert sent.is_published()

    def send_unacknowledged(self, topic: str, payload: bytes) -> None:
        """Publish, and return at once."""
        self._paho.publish(topic, payload, qos=1)

    def set_will(self, topic: str, payload: bytes) -> None:
        """Set the last will, before the client connects."""
        self._paho.will_set(topic, payload, qos=1)

    def attempt(self, topic: str, *, retain: bool = False) -> None:
        """Publish to a forbidden topic: the broker drops the message or the connection."""
        sent = self._paho.publish(topic, b"forged", qos=1, retain=retain)
        wait_until(lambda: sent.is_published() or self.disconnected.is_set(), seconds=SECONDS)

    def take(self) -> mqtt.MQTTMessage:
        return self._messages.get(timeout=SECONDS)

    def has_received(self) -> bool:
        return not self._messages.empty()

    def received(self) -> list[mqtt.MQTTMessage]:
        """Return what has been received until now."""
        messages = []
        while self.has_received():
            messages.append(self.take())
        return messages

    def payloads(self, count: int) -> list[bytes]:
        return [bytes(self.take().payload) for _ in range(count)]

    def acknowledge(self, message: mqtt.MQTTMessage) -> None:
        assert self._paho.ack(message.mid, message.qos) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _end(self) -> None:
        self._paho.loop_stop()
        self._paho._reset_sockets()  # paho leaves two of them to the garbage collector


def send_in_one_piece(
    broker: AnyBroker, login: tuple[str, str], topic: str, *payloads: bytes
) -> None:
    """Connect, publish at QoS 0 and disconnect, without waiting for any acknowledgement."""
    login_of_client = b"".join(map(_string, (str(uuid4()), *login)))
    packets = _packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x00" + login_of_client)
    packets += b"".join(_packet(0x30, _string(topic) + payload) for payload in payloads)
    address = (broker.host, broker.port_of(login[0]))
    with socket.create_connection(address) as connection:
        connection.sendall(packets + _packet(0xE0, b""))


def _packet(kind: int, body: bytes) -> bytes:
    high, low = divmod(len(body), 128)
    return bytes([kind, low | 0x80, high] if high else [kind, low]) + body


def _string(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()
