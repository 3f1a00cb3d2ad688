"""An MQTT client for tests, which waits for answers and remembers what it received."""

import queue
import socket
import threading
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from local.broker import Broker
from tests.waiting import wait_until

SECONDS = 5


class Client:
    """An MQTT client that remembers what it received."""

    def __init__(
        self,
        broker: Broker,
        login: tuple[str, str] | None,
        *,
        client_id: str = "",
        persistent: bool = False,
        manual_ack: bool = False,
    ) -> None:
        self._broker = broker
        self._answered: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[mqtt.MQTTMessage] = queue.SimpleQueue()
        self.disconnected = threading.Event()
        self._paho = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or str(uuid4()),
            clean_session=not persistent,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
        )
        if login:
            self._paho.username_pw_set(*login)
        self._paho.on_connect = lambda _c, _u, _f, reason, _p: self._answered.put(reason)
        self._paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self._answered.put(reasons[0])
        self._paho.on_message = lambda _c, _u, message: self._messages.put(message)
        self._paho.on_disconnect = lambda *_: self.disconnected.set()

    def __enter__(self) -> Self:
        assert not self.connect().is_failure
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> Any:
        """The broker's answer."""
        self._paho.connect(self._broker.host, self._broker.port)
        self._paho.loop_start()
        return self._answered.get(timeout=SECONDS)

    def close(self) -> None:
        """Leave politely."""
        self._paho.disconnect()
        self._end()

    def drop(self) -> None:
        """Vanish without a word."""
        connection = self._paho.socket()
        assert isinstance(connection, socket.socket)
        connection.shutdown(socket.SHUT_RDWR)
        self._end()

    def subscribe(self, topic: str, *, qos: int = 1) -> Any:
        self._paho.subscribe(topic, qos)
        return self._answered.get(timeout=SECONDS)

    def publish(self, topic: str, *payloads: bytes, qos: int = 1) -> None:
        """Return when the broker has acknowledged all."""
        for sent in [self._paho.publish(topic, payload, qos) for payload in payloads]:
            sent.wait_for_publish(SECONDS)
            assert sent.is_published()

    def attempt(self, topic: str) -> None:
        """Publish what is not allowed: the broker drops the message, or the client."""
        sent = self._paho.publish(topic, b"forged", qos=1)
        wait_until(lambda: sent.is_published() or self.disconnected.is_set(), seconds=SECONDS)

    def take(self) -> mqtt.MQTTMessage:
        return self._messages.get(timeout=SECONDS)

    def has_received(self) -> bool:
        return not self._messages.empty()

    def payloads(self, count: int) -> list[bytes]:
        return [bytes(self.take().payload) for _ in range(count)]

    def acknowledge(self, message: mqtt.MQTTMessage) -> None:
        assert self._paho.ack(message.mid, message.qos) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _end(self) -> None:
        self._paho.loop_stop()
        self._paho._reset_sockets()  # paho leaves a pair of them to the garbage collector


def send_in_one_piece(broker: Broker, login: tuple[str, str], topic: str, *payloads: bytes) -> None:
    """Connect, publish at QoS 0 and leave, without waiting for an answer: hasty firmware."""
    login_of_client = b"".join(map(_string, (str(uuid4()), *login)))
    packets = _packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x00" + login_of_client)
    packets += b"".join(_packet(0x30, _string(topic) + payload) for payload in payloads)
    with socket.create_connection((broker.host, broker.port)) as connection:
        connection.sendall(packets + _packet(0xE0, b""))


def _packet(kind: int, body: bytes) -> bytes:
    high, low = divmod(len(body), 128)
    return bytes([kind, low | 0x80, high] if high else [kind, low]) + body


def _string(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()
