"""The message queue: publishing to cabinets by MQTT, with IoT Core's topics.

One cached connection a function instance. It has no background thread: an instance sleeps
between calls, and everything that is to be sent is sent before the call returns.
"""

import threading
import time
from collections.abc import Callable
from ssl import create_default_context
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from shared import config, log
from shared.errors import QueueUnavailable

CONNECT_SECONDS = 3.0
ACKNOWLEDGE_SECONDS = 3.0
KEEPALIVE_SECONDS = 60

_instance = threading.local()


class Publisher:
    """Publishes to cabinets on this instance's connection."""

    def publish(self, device_id: str | None, payload: bytes) -> None:
        """Send `payload` to a device's commands, or to all devices' when `device_id` is None.

        Raises QueueUnavailable only when nothing was sent. Once bytes have left, the broker may
        have them, acknowledged or not: then this returns, and the cabinet's answer decides.
        """
        registry = config.settings().registry_id
        topic = (
            f"$devices/{device_id}/commands" if device_id else f"$registries/{registry}/commands"
        )
        connection = _connection()
        if not connection.send(topic, payload):
            connection.close()
            log.warning("the broker did not acknowledge; the message may have arrived", topic=topic)


def answers() -> bool:
    """Whether the broker can be reached and takes our login."""
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
    """The cached connection if it is fresh, else a new one."""
    settings = config.settings()
    cached: _Connection | None = getattr(_instance, "connection", None)
    if cached is not None and cached.settings == settings and cached.is_fresh():
        return cached
    close()
    _instance.connection = connection = _Connection(settings)
    return connection


class _Connection:
    def __init__(self, settings: config.Settings) -> None:
        self.settings = settings
        self._connected = False
        self._refusal = ""
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv311)
        self._client.connect_timeout = CONNECT_SECONDS
        self._client.on_connect = self._on_connect
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
            log.error("queue unavailable", error=self._refusal or "no answer to CONNECT")
            raise QueueUnavailable
        self._used_at = time.monotonic()

    def is_fresh(self) -> bool:
        """Not ended by the broker, and not so old that the broker may have given it up."""
        if time.monotonic() - self._used_at > KEEPALIVE_SECONDS / 2:
            return False
        return self._client.loop(0) == paho.MQTT_ERR_SUCCESS and self._client.is_connected()

    def send(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1; whether the broker acknowledged it. Raises QueueUnavailable."""
        message = self._client.publish(topic, payload, qos=1)
        if message.rc != paho.MQTT_ERR_SUCCESS:
            # It was not written; this client would write it later, so that it must go.
            self.close()
            raise QueueUnavailable
        self._loop_until(message.is_published, ACKNOWLEDGE_SECONDS)
        self._used_at = time.monotonic()
        return message.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop(0)
        if getattr(_instance, "connection", None) is self:
            _instance.connection = None

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
