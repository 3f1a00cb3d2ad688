"""The local MQTT broker, with IoT Core's topics, logins and access rights.

Mosquitto if it is installed, otherwise amqtt.
"""

import base64
import hashlib
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from local import CannotStart
from local.children import HOST, find_program, free_port, make_directory, unprivileged_user
from local.servers import Server

SERVICE_LOGIN = ("service", "local-service")
BRIDGE_LOGIN = ("bridge", "local-bridge")
DEVICE_PASSWORD = "local-device"  # noqa: S105 - not a secret

Engine = Literal["auto", "mosquitto", "amqtt"]

_PROJECT = Path(__file__).parents[1]
_DEVICE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS_TO_LOG_IN = 10
_ITERATIONS = 101  # Mosquitto's own default
_CONFIGURATION = """\
listener {port} {host}
allow_anonymous false
password_file passwords
acl_file rights
persistence true
persistence_location ./
# Mosquitto writes all waiting messages at every save, so a longer queue makes each save slower.
autosave_on_changes true
autosave_interval 1
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 1000000
max_packet_size 307200
log_type error
log_type warning
"""


@dataclass(frozen=True)
class Rights:
    """The topic filters that a login may subscribe and publish to."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def is_device_id(name: str) -> bool:
    """Return whether this is a valid device id. Mosquitto's password file allows no colon."""
    reserved = (SERVICE_LOGIN[0], BRIDGE_LOGIN[0])
    return _DEVICE_ID.fullmatch(name) is not None and name not in reserved


def rights_of(username: str) -> Rights:
    """Return the access rights of a login; a device's login is its id."""
    if username == SERVICE_LOGIN[0]:
        return Rights(writes=("$devices/+/commands", "$registries/+/commands"))
    if username == BRIDGE_LOGIN[0]:
        return Rights(reads=("$devices/+/events",))
    return Rights(
        reads=(f"$devices/{username}/commands", "$registries/+/commands"),
        writes=(f"$devices/{username}/events",),
    )


class Broker(Server):
    """An MQTT broker on this machine, without TLS; it ends with this process.

    Mosquitto keeps sessions in `directory`, and when killed loses at most its newest messages.
    amqtt speaks MQTT 3.1.1 only, keeps sessions in memory and no commands in them, supports QoS 0
    and 1, delivers QoS 0 messages to a QoS 1 subscription with QoS 1, and ignores keep-alive.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        engine: Engine = "auto",
    ) -> None:
        self.host = HOST
        self.port = port
        self._mosquitto = find_mosquitto()
        self.engine: Literal["mosquitto", "amqtt"] = (
            engine if engine != "auto" else "mosquitto" if self._mosquitto else "amqtt"
        )
        super().__init__(self.engine, directory, stop_signal=signal.SIGTERM)
        self._home = directory / self.engine
        self._passwords: dict[str, str] = {}
        self._changing = threading.Lock()

    @property
    def mqtt_version(self) -> str:
        """Return the highest MQTT version that the engine speaks, as the setting MQTT_VERSION."""
        return "5" if self.engine == "mosquitto" else "3.1.1"

    def start(self) -> Self:
        """Start the broker and return when clients can log in. Raises CannotStart."""
        if self.pid is None:
            self.port = self.port or free_port()
            make_directory(self._directory)
            if self.engine == "mosquitto":
                self._start_mosquitto()
            else:
                self._start_amqtt()
        return self

    def add_devices(self, *device_ids: str) -> None:
        """Give devices their logins; return when they can log in. Idempotent.

        amqtt accepts every valid device id with the devices' password.
        """
        for device_id in device_ids:
            if not is_device_id(device_id):
                raise ValueError(f"{device_id!r} cannot be a device's id at the local broker")
        with self._changing:
            new = [one for one in device_ids if one not in self._passwords]
            if self.engine == "mosquitto" and new:
                self._passwords |= {device_id: _hash(DEVICE_PASSWORD) for device_id in new}
                if self.pid is not None:
                    self._write_logins()
                    self._child.signal(signal.SIGHUP)
        for device_id in device_ids[-1:]:  # the broker reads all at once
            self._wait_for_login(device_id)

    def add_device(self, device_id: str) -> None:
        """Give one device its login."""
        self.add_devices(device_id)

    def _start_amqtt(self) -> None:
        self._child.start(
            [sys.executable, "-m", "local.amqtt_broker", str(self.port)],
            port=self.port,
            ready=self._is_ready,
            cwd=self._directory,
            environment={"PYTHONPATH": os.pathsep.join([str(_PROJECT), *sys.path])},
        )

    def _start_mosquitto(self) -> None:
        if self._mosquitto is None:
            raise CannotStart("mosquitto is not installed: install it, or use the engine amqtt")
        user = unprivileged_user()
        make_directory(self._home, owner=user)
        self._read_logins()
        self._write_logins()
        configuration = _CONFIGURATION.format(host=self.host, port=self.port)
        (self._home / "mosquitto.conf").write_text(configuration)
        self._child.start(
            # Not as root: Mosquitto would change its user, which clears the parent-death signal.
            # Relative paths: user nobody may have no access to the parent directories.
            [self._mosquitto, "-c", "mosquitto.conf"],
            port=self.port,
            ready=self._is_ready,
            cwd=self._home,
            user=user,
        )

    def _read_logins(self) -> None:
        file = self._home / "passwords"
        lines = file.read_text().split() if file.exists() else []
        self._passwords = dict(line.split(":", 1) for line in lines) | self._passwords
        for name, password in (SERVICE_LOGIN, BRIDGE_LOGIN):
            self._passwords.setdefault(name, _hash(password))

    def _write_logins(self) -> None:
        user = unprivileged_user()
        passwords = "".join(f"{name}:{hashed}\n" for name, hashed in self._passwords.items())
        rights = "".join(map(_acl, self._passwords))
        for name, text in (("passwords", passwords), ("rights", rights)):
            new = self._home / f"{name}.new"
            new.touch(mode=0o600)
            new.write_text(text)
            if user:
                os.chown(new, user, user)
            new.replace(self._home / name)

    def _is_ready(self) -> bool:
        return all(self._accepts(*login) for login in (SERVICE_LOGIN, BRIDGE_LOGIN))

    def _wait_for_login(self, device_id: str) -> None:
        deadline = time.monotonic() + _SECONDS_TO_LOG_IN
        while self.pid and not self._accepts(device_id, DEVICE_PASSWORD):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.engine} does not accept the login {device_id}")
            time.sleep(0.005)

    def _accepts(self, username: str, password: str) -> bool:
        """Return whether the broker accepts this login."""
        strings = (f"probe-{secrets.token_hex(4)}", username, password)
        body = b"\x00\x04MQTT\x04\xc2\x00\x0a"  # level 4, a clean session with a login, 10 s
        body += b"".join(len(s).to_bytes(2, "big") + s.encode() for s in strings)
        try:
            with socket.create_connection((self.host, self.port), timeout=2) as connection:
                connection.sendall(b"\x10" + bytes([len(body)]) + body)
                accepted = connection.recv(4) == b"\x20\x02\x00\x00"
                connection.sendall(b"\xe0\x00")  # DISCONNECT
                return accepted
        except OSError:
            return False


def find_mosquitto() -> str | None:
    """Return Mosquitto's executable, or None if it is not installed."""
    return find_program("mosquitto")


def _acl(username: str) -> str:
    rights = rights_of(username)
    lines = [f"user {username}"]
    lines += [f"topic read {filter_}" for filter_ in rights.reads]
    lines += [f"topic write {filter_}" for filter_ in rights.writes]
    return "\n".join(lines) + "\n\n"


def _hash(password: str) -> str:
    """Return a password in the format of Mosquitto's password file."""
    salt = secrets.token_bytes(12)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"
