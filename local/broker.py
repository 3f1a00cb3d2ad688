"""The local MQTT broker, with IoT Core's topics, logins and access rights.

Mosquitto if it is installed, otherwise amqtt. As at the deployed broker, a device's client id is
its login, whatever it sends. With Mosquitto, functions and bridge use a port of their own.
"""

import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from local import CannotStart, addresses
from local.children import HOST, find_program, free_port, make_directory, unprivileged_user
from local.passwords import OwnPasswords, hashed
from local.servers import Server
from terraform.broker.access import rules_of

SERVICE_LOGIN = ("service", "local-service")
BRIDGE_LOGIN = ("bridge", "local-bridge")
DEVICE_PASSWORD = "local-device"  # noqa: S105 - not a secret

Engine = Literal["auto", "mosquitto", "amqtt"]

_PROJECT = Path(__file__).parents[1]
_ACL = _PROJECT / "terraform" / "broker" / "acl"
_DEVICE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS_TO_RELOAD = 10
_PROBE = "~probe"
"""A login without rights: its new password works as soon as Mosquitto has read all logins."""
_CONFIGURATION = """\
per_listener_settings true
# As deployed: a device's client id is its login; functions and bridge have a listener of their own.
listener {port} {host}
allow_anonymous false
password_file passwords
acl_file rights
use_username_as_clientid true
listener {own_port} {own_host}
allow_anonymous false
password_file own-passwords
acl_file rights
persistence true
persistence_location ./
# Mosquitto writes all waiting messages at every save, so a longer queue makes each save slower.
autosave_on_changes {on_changes}
autosave_interval {interval}
set_tcp_nodelay true
max_inflight_messages 10000
max_inflight_bytes 67108864
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


@lru_cache(maxsize=10_000)
def rights_of(username: str) -> Rights:
    """Return the access rights of a login, as deployed; a device's login is its id."""
    rules = rules_of(username, _ACL.read_text())
    return Rights(
        reads=tuple(rule.topic for rule in rules if rule.action == "read"),
        writes=tuple(rule.topic for rule in rules if rule.action == "write"),
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
        listen: str = HOST,
        port: int = 0,
        engine: Engine = "auto",
        saves_each_change: bool = True,
    ) -> None:
        """`saves_each_change`: otherwise Mosquitto saves every 5 s, as deployed."""
        self._listen = listen
        self.host = HOST if addresses.is_any(listen) else listen
        self.port = port
        self._own_port = 0
        self._mosquitto = find_mosquitto()
        self.engine: Literal["mosquitto", "amqtt"] = (
            engine if engine != "auto" else "mosquitto" if self._mosquitto else "amqtt"
        )
        super().__init__(self.engine, directory, stop_signal=signal.SIGTERM)
        self._saving = ("true", 1) if saves_each_change else ("false", 5)
        self._home = directory / self.engine
        self._own_passwords_file = directory / "device-passwords.json"
        self._own_passwords = OwnPasswords(self._own_passwords_file)
        self._passwords: dict[str, str] = {}
        self._probe_password = ""
        self._changing = threading.Lock()

    @property
    def address(self) -> str:
        """Return the host that devices connect to: if it listens everywhere, the network's."""
        return addresses.reachable(self._listen)

    def port_of(self, username: str) -> int:
        """Return the port for this login."""
        is_own = username in (SERVICE_LOGIN[0], BRIDGE_LOGIN[0])
        return self._own_port if is_own and self.engine == "mosquitto" else self.port

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
        """Let devices log in with DEVICE_PASSWORD; return when they can. Idempotent.

        A device with a password of its own keeps that. amqtt accepts every valid device id.
        """
        _check_device_ids(device_ids)
        with self._changing:
            new = [one for one in device_ids if one not in self._passwords]
            if self.engine == "mosquitto" and new:
                self._passwords |= {device_id: hashed(DEVICE_PASSWORD) for device_id in new}
                self._apply_logins()

    def add_device(self, device_id: str) -> None:
        """Let one device log in."""
        self.add_devices(device_id)

    def own_passwords(self) -> Mapping[str, str]:
        """Return the hashes of devices' own passwords; "" for a device that may not log in."""
        return self._own_passwords.hashes()

    def change_passwords(self, hashes: Mapping[str, str]) -> None:
        """Give devices passwords of their own, or with "" refuse them; kept over restarts.

        Clients that are connected with another password are disconnected.
        """
        _check_device_ids(hashes)
        with self._changing:
            self._own_passwords.change(hashes)
            if self.engine == "mosquitto":
                self._apply_logins()
            elif self.pid is not None:
                self._child.signal(signal.SIGHUP)

    def _start_amqtt(self) -> None:
        self._child.start(
            [
                *(sys.executable, "-m", "local.amqtt_broker", self._listen, str(self.port)),
                self._own_passwords_file.resolve(),
            ],
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
        self._choose_own_port()
        on_changes, interval = self._saving
        configuration = _CONFIGURATION.format(
            host=self._listen,
            port=self.port,
            own_host=self.host,
            own_port=self._own_port,
            on_changes=on_changes,
            interval=interval,
        )
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

    def _choose_own_port(self) -> None:
        """Keep the port: Mosquitto takes a session's rights from the port that it used last."""
        file = self._home / "own-port"
        known = int(file.read_text()) if file.exists() else 0
        if not known or _listens(self.host, known):
            known = free_port()
            file.write_text(str(known))
        self._own_port = known

    def _read_logins(self) -> None:
        file = self._home / "passwords"
        lines = file.read_text().split() if file.exists() else []
        self._passwords = dict(line.split(":", 1) for line in lines) | self._passwords
        for not_a_device in (_PROBE, SERVICE_LOGIN[0], BRIDGE_LOGIN[0]):
            self._passwords.pop(not_a_device, None)

    def _apply_logins(self) -> None:
        """Let Mosquitto, if it runs, read the logins; return when it has."""
        if self.pid is None:
            return
        self._write_logins()
        self._child.signal(signal.SIGHUP)
        deadline = time.monotonic() + _SECONDS_TO_RELOAD
        while self.pid and not self._accepts(_PROBE, self._probe_password):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Mosquitto has not read its logins in {_SECONDS_TO_RELOAD} s")
            time.sleep(0.005)

    def _write_logins(self) -> None:
        user = unprivileged_user()
        self._probe_password = secrets.token_hex()
        all_logins = {**self._passwords, **self.own_passwords()}
        logins = {name: stored for name, stored in all_logins.items() if stored}
        own = {name: hashed(password) for name, password in (SERVICE_LOGIN, BRIDGE_LOGIN)}
        files = {
            "rights": "".join(map(_acl, [*own, *logins])),
            "own-passwords": _lines(own),
            "passwords": _lines({**logins, _PROBE: hashed(self._probe_password)}),
        }
        for name, text in files.items():
            new = self._home / f"{name}.new"
            new.touch(mode=0o600)
            new.write_text(text)
            if user:
                os.chown(new, user, user)
            new.replace(self._home / name)

    def _is_ready(self) -> bool:
        return all(self._accepts(*login) for login in (SERVICE_LOGIN, BRIDGE_LOGIN))

    def _accepts(self, username: str, password: str) -> bool:
        """Return whether the broker accepts this login."""
        strings = (f"probe-{secrets.token_hex(4)}", username, password)
        body = b"\x00\x04MQTT\x04\xc2\x00\x0a"  # level 4, a clean session with a login, 10 s
        body += b"".join(len(s).to_bytes(2, "big") + s.encode() for s in strings)
        try:
            address = (self.host, self.port_of(username))
            with socket.create_connection(address, timeout=2) as connection:
                connection.sendall(b"\x10" + bytes([len(body)]) + body)
                accepted = connection.recv(4) == b"\x20\x02\x00\x00"
                connection.sendall(b"\xe0\x00")  # DISCONNECT
                return accepted
        except OSError:
            return False


def find_mosquitto() -> str | None:
    """Return Mosquitto's executable, or None if it is not installed."""
    return find_program("mosquitto")


def _check_device_ids(device_ids: Iterable[str]) -> None:
    for device_id in device_ids:
        if not is_device_id(device_id):
            raise ValueError(f"{device_id!r} cannot be a device's id at the local broker")


def _lines(logins: Mapping[str, str]) -> str:
    return "".join(f"{name}:{stored}\n" for name, stored in logins.items())


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _acl(username: str) -> str:
    rights = rights_of(username)
    lines = [f"user {username}"]
    lines += [f"topic read {filter_}" for filter_ in rights.reads]
    lines += [f"topic write {filter_}" for filter_ in rights.writes]
    return "\n".join(lines) + "\n\n"
