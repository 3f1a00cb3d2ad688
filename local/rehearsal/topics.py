"""Checks the broker's access rights: whether messages on each topic reach their reader."""

import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

_HOST = "localhost"
_SECONDS = 3


class Login:
    """An MQTT client with the login of another client, over TLS."""

    def __init__(self, port: int, ca: Path, name: str, password: str) -> None:
        self._port = port
        self._connected, self._subscribed = threading.Event(), threading.Event()
        self._received: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._is_refused = False
        client_id = f"rehearsal-{name}"
        self._paho = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv311)
        self._paho.username_pw_set(name, password)
        self._paho.tls_set(str(ca))
        self._paho.on_connect = self._on_connect
        self._paho.on_subscribe = lambda *_: self._subscribed.set()
        self._paho.on_message = lambda *args: self._received[args[-1].topic].set()

    def __enter__(self) -> Self:
        self._paho.connect(_HOST, self._port)
        self._paho.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()

    def is_accepted(self) -> bool:
        """Wait for the broker's answer to the login; return whether it accepts it."""
        return self._connected.wait(_SECONDS) and not self._is_refused

    def subscribe(self, topic: str) -> None:
        """Subscribe; the broker grants that to every login, but sends only what it may read."""
        self._subscribed.clear()
        self._paho.subscribe(topic, 1)
        self._subscribed.wait(_SECONDS)

    def receives(self, topic: str, seconds: float = _SECONDS) -> bool:
        """Wait for a message on the topic; return whether one came."""
        return self._received[topic].wait(seconds)

    def publish(self, topic: str) -> None:
        """Publish a message; the broker accepts it from every login, and drops forbidden ones."""
        self._paho.publish(topic, b"rehearsal", qos=1)

    def _on_connect(self, _c: Client, _d: Any, _f: Any, code: Any, _p: Any) -> None:
        self._is_refused = code.is_failure
        self._connected.set()


def faults(
    ca: Path, logins: dict[str, tuple[int, str]], *, device_id: str, registry_id: str
) -> list[str]:
    """Return a line for each refused login, and for each topic whose messages do not arrive.

    `logins`: the port and the password of service, bridge and `device_id`.
    """
    routes = (
        ("service", f"$devices/{device_id}/commands", device_id),
        ("service", f"$registries/{registry_id}/commands", device_id),
        (device_id, f"$devices/{device_id}/events", "bridge"),
        ("bridge", f"$commands/{device_id}/settled", "service"),
    )
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(Login(port, ca, name, password))
            for name, (port, password) in logins.items()
        }
        if refused := [name for name, login in clients.items() if not login.is_accepted()]:
            return [f"the broker refuses the login {name}" for name in refused]
        for _, topic, reader in routes:
            clients[reader].subscribe(topic)
        for writer, topic, _ in routes:
            clients[writer].publish(topic)
        end = time.monotonic() + _SECONDS
        return [
            f"messages from {writer} on {topic} do not reach {reader}:"
            " a right of one of them is missing in /srv/broker/acl"
            for writer, topic, reader in routes
            if not clients[reader].receives(topic, max(0, end - time.monotonic()))
        ]
