"""Whether what each login writes reaches who is to read it, through the broker's own rights."""

import ssl
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

_SECONDS = 3


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
        clients = {
            login: stack.enter_context(_Client(port, ca, login, password))
            for login, password in passwords.items()
        }
        if refused := [login for login, client in clients.items() if not client.let_in()]:
            return [f"the broker refuses the login {login}" for login in refused]
        return [
            f"{writer} writes {topic}, and it does not reach {reader}:"
            " /srv/broker/acl lacks the right of one of them"
            for writer, topic, reader in legs
            if not clients[reader].gets(topic, clients[writer])
        ]


class _Client:
    def __init__(self, port: int, ca: Path, login: str, password: str) -> None:
        self._port = port
        self._answered, self._subscribed, self._got = (threading.Event() for _ in range(3))
        self._refused = False
        self._paho = Client(
            CallbackAPIVersion.VERSION2, client_id=f"rehearsal-{login}", protocol=MQTTv311
        )
        self._paho.username_pw_set(login, password)
        self._paho.tls_set(str(ca), cert_reqs=ssl.CERT_REQUIRED)
        self._paho.on_connect = self._on_connect
        self._paho.on_subscribe = lambda *_: self._subscribed.set()
        self._paho.on_message = lambda *_: self._got.set()

    def __enter__(self) -> Self:
        self._paho.connect("localhost", self._port)
        self._paho.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()

    def let_in(self) -> bool:
        return self._answered.wait(_SECONDS) and not self._refused

    def gets(self, topic: str, writer: "_Client") -> bool:
        self._subscribed.clear()
        self._got.clear()
        self._paho.subscribe(topic, 1)
        self._subscribed.wait(_SECONDS)
        writer._paho.publish(topic, b"rehearsal", qos=1)  # noqa: SLF001 - one of us
        return self._got.wait(_SECONDS)

    def _on_connect(self, _c: Client, _d: Any, _f: Any, code: Any, _p: Any) -> None:
        self._refused = code.is_failure
        self._answered.set()
