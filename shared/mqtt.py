"""MQTT: publish to cabinets, on IoT Core's topics, and wait for the bridge's wake-ups.

Each function instance caches one connection. It has no background thread, because the platform
freezes an instance between calls: everything is sent before a call returns.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from select import select
from ssl import SSLSocket, create_default_context
from typing import Any
from uuid import UUID

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from shared import config, log
from shared.errors import QueueUnavailable

CONNECT_SECONDS = 3.0
ACKNOWLEDGE_SECONDS = 3.0
KEEPALIVE_SECONDS = 60

_PROTOCOLS = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}
_MAX_EXPIRY_SECONDS = 2**32 - 1
_instance = threading.local()


def wakeup_topic(command_id: UUID | str) -> str:
    """Return the topic on which the bridge announces that a command was settled."""
    return f"$commands/{command_id}/settled"


class Publisher:
    """Publishes to cabinets, and waits for commands, over this instance's connection."""

    def publish(self, device_id: str | None, payload: bytes, *, ttl_s: float) -> None:
        """Publish `payload` to a device's command topic, or to all devices' if `device_id` is None.

        With MQTT 5, the broker drops it for a client that is not there within `ttl_s` from now.
        Raises QueueUnavailable only if nothing was sent. Once bytes have left, the broker may have
        them even without an acknowledgement: then this returns, and the cabinet's result decides.
        """
        expires_at = time.monotonic() + ttl_s
        registry = config.settings().registry_id
        topic = (
            f"$devices/{device_id}/commands" if device_id else f"$registries/{registry}/commands"
        )
        connection = _connection()
        if error := connection.send(topic, payload, expires_at=expires_at):
            connection.close()
            log.warning(
                "publication not acknowledged; it may have arrived", topic=topic, error=error
            )

    @contextmanager
    def wakeups(self, command_id: UUID) -> Iterator[Callable[[float], bool | None]]:
        """Yield a function that waits until the command is settled, or for so many seconds.

        It returns whether it was woken. A wake-up may be lost or come for nothing, so what counts
        is the command's row. Without a connection, or the right to subscribe, the function waits
        for the whole time.
        """
        try:
            connection = _connection()
        except QueueUnavailable:
            yield time.sleep
            return
        topic = wakeup_topic(command_id)
        connection.subscribe(topic)
        try:
            yield connection.wait
        finally:
            connection.unsubscribe(topic)


def is_reachable() -> bool:
    """Whether the broker can be reached and accepts our login."""
    try:
        _connection()
    except QueueUnavailable:
        return False
    return True


def close() -> None:
    """Close this instance's connection, if it has one."""
    connection: _Connection | None = getattr(_instance, "connection", None)
    _instance.connection = None
    if connection is not None:
        connection.close()


def _connection() -> "_Connection":
    """Return the cached connection if it is still usable, else a new one."""
    settings = config.settings()
    cached: _Connection | None = getattr(_instance, "connection", None)
    if cached is not None and cached.settings == settings and cached.is_usable():
        return cached
    close()
    _instance.connection = connection = _Connection(settings)
    return connection


class _Connection:
    def __init__(self, settings: config.Settings) -> None:
        self.settings = settings
        self._connected = False
        self._refusal = ""
        self._protocol = _PROTOCOLS[settings.mqtt_version]
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=self._protocol)
        self._client.connect_timeout = CONNECT_SECONDS
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._is_subscribed = False
        self._is_woken = False
        if settings.mqtt_username:
            self._client.username_pw_set(settings.mqtt_username, settings.mqtt_password)
        try:
            if settings.mqtt_tls:
                cafile, cadata = settings.mqtt_ca_file or None, settings.mqtt_ca_pem or None
                self._client.tls_set_context(create_default_context(cafile=cafile, cadata=cadata))
            self._client.connect(settings.mqtt_host, settings.mqtt_port, KEEPALIVE_SECONDS)
            self._loop_until(lambda: self._connected or bool(self._refusal), CONNECT_SECONDS)
        except OSError as error:
            self._refusal = str(error)
        if not self._connected:
            self.close()
            log.error(
                "queue unavailable",
                error=self._refusal or "no answer to CONNECT",
                mqtt_version=settings.mqtt_version,
            )
            raise QueueUnavailable
        self._used_at = time.monotonic()

    def is_usable(self) -> bool:
        """Whether it is open, and not idle so long that the broker may have dropped it."""
        if time.monotonic() - self._used_at > KEEPALIVE_SECONDS / 2:
            return False
        while True:  # what came since the last use; at its end, whether the broker has hung up
            if self._client.loop(0) != paho.MQTT_ERR_SUCCESS or not self._client.is_connected():
                return False
            if not self._has_input():
                return True

    def send(self, topic: str, payload: bytes, *, expires_at: float) -> str:
        """Publish at QoS 1; return why it was not acknowledged, if it was not.

        Raises QueueUnavailable.
        """
        properties = None
        if self._protocol == paho.MQTTv5:
            left = math.ceil(expires_at - time.monotonic())
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
            properties.MessageExpiryInterval = min(max(left, 1), _MAX_EXPIRY_SECONDS)
        message = self._client.publish(topic, payload, qos=1, properties=properties)
        if message.rc != paho.MQTT_ERR_SUCCESS:
            # Not written: close the client, since it would write the message later.
            self.close()
            raise QueueUnavailable
        self._loop_until(message.is_published, ACKNOWLEDGE_SECONDS)
        self._used_at = time.monotonic()
        return self._refusal if message.is_published() else "no answer to PUBLISH"

    def subscribe(self, topic: str) -> None:
        """Subscribe, and return when the broker has answered; a refusal is logged."""
        self._is_subscribed = self._is_woken = False
        self._client.subscribe(topic, qos=0)
        self._loop_until(lambda: self._is_subscribed, ACKNOWLEDGE_SECONDS)

    def unsubscribe(self, topic: str) -> None:
        """Unsubscribe, without waiting for the broker's answer."""
        self._client.unsubscribe(topic)

    def wait(self, seconds: float) -> bool:
        """Wait for a message on the subscribed topic, at most for `seconds`; return if it came."""
        until = time.monotonic() + seconds
        self._loop_until(lambda: self._is_woken, seconds)
        if not self._is_woken:  # the connection may be lost
            time.sleep(max(0.0, until - time.monotonic()))
        is_woken, self._is_woken = self._is_woken, False
        self._used_at = time.monotonic()
        return is_woken

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop(0)
        if getattr(_instance, "connection", None) is self:
            _instance.connection = None

    def _has_input(self) -> bool:
        connection = self._client.socket()
        if connection is None:
            return False
        buffered = isinstance(connection, SSLSocket) and connection.pending() > 0
        return buffered or bool(select([connection], [], [], 0)[0])

    def _loop_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and (left := deadline - time.monotonic()) > 0:
            if self._client.loop(min(left, 1)) != paho.MQTT_ERR_SUCCESS:
                return

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: Any, code: Any, _p: Any
    ) -> None:
        self._connected = not code.is_failure
        self._refusal = str(code) if code.is_failure else ""

    def _on_publish(self, _client: paho.Client, _data: Any, _mid: int, code: Any, _p: Any) -> None:
        self._refusal = str(code) if code.is_failure else ""

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _mid: int, codes: list[Any], _p: Any
    ) -> None:
        self._is_subscribed = True
        if codes[0].is_failure:
            log.warning("wake-ups are refused; the wait looks at the database more rarely")

    def _on_message(self, _client: paho.Client, _data: Any, _message: Any) -> None:
        self._is_woken = True
