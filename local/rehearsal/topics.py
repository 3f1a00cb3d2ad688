"""Whether what one login writes reaches who is to read it, by the rights that the broker has."""

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
    """A login at the broker, by TLS, beside those that really use it."""

    def __init__(self, port: int, ca: Path, name: str, password: str) -> None:
        self._port = port
        self._answered, self._subscribed = threading.Event(), threading.Event()
        self._heard: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._is_refused = False
        client_id = f"rehearsal-{name}"
        self._paho = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv311)
        self._paho.username_pw_set(name, password)
        self._paho.tls_set(str(ca))
        self._paho.on_connect = self._on_connect
        self._paho.on_subscribe = lambda *_: self._subscribed.set()
        self._paho.on_message = lambda *args: self._heard[args[-1].topic].set()

    def __enter__(self) -> Self:
        self._paho.connect(_HOST, self._port)
        self._paho.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()

    def is_let_in(self) -> bool:
        """Whether the broker has taken it."""
        return self._answered.wait(_SECONDS) and not self._is_refused

    def listen(self, topic: str) -> None:
        """Read a topic; the broker grants that to everybody, and then sends only what it may."""
        self._subscribed.clear()
        self._paho.subscribe(topic, 1)
        self._subscribed.wait(_SECONDS)

    def hears(self, topic: str, seconds: float = _SECONDS) -> bool:
        """Whether something comes on it."""
        return self._heard[topic].wait(seconds)

    def write(self, topic: str) -> None:
        """Write a topic; the broker takes that from everybody, and drops what it must not."""
        self._paho.publish(topic, b"rehearsal", qos=1)

    def _on_connect(self, _c: Client, _d: Any, _f: Any, code: Any, _p: Any) -> None:
        self._is_refused = code.is_failure
        self._answered.set()


def faults(
    port: int, ca: Path, passwords: dict[str, str], *, device_id: str, registry_id: str
) -> list[str]:
    """A line for each login that the broker refuses, and for each topic that leads nowhere.

    `passwords`: those of service, bridge and the device.
    """
    legs = (
        ("service", f"$devices/{device_id}/commands", device_id),
        ("service", f"$registries/{registry_id}/commands", device_id),
        (device_id, f"$devices/{device_id}/events", "bridge"),
    )
    with ExitStack() as stack:
        logins = {
            name: stack.enter_context(Login(port, ca, name, password))
            for name, password in passwords.items()
        }
        if refused := [name for name, login in logins.items() if not login.is_let_in()]:
            return [f"the broker refuses the login {name}" for name in refused]
        for _, topic, reader in legs:
            logins[reader].listen(topic)
        for writer, topic, _ in legs:
            logins[writer].write(topic)
        end = time.monotonic() + _SECONDS
        return [
            f"{writer} writes {topic}, and it does not reach {reader}:"
            " /srv/broker/acl lacks the right of one of them"
            for writer, topic, reader in legs
            if not logins[reader].hears(topic, max(0, end - time.monotonic()))
        ]
