"""The broker's machine: cloud-init's files, `refresh`, Mosquitto and the bridge by their units."""

import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64decode
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import yaml  # type: ignore[import-untyped]  # its types are a package that we do without

from local import CannotStart
from local.broker import find_mosquitto
from local.children import HOST, Child, free_port, leashed, make_directory, unprivileged_user
from local.rehearsal import Fault, requirements

_PLACES = {
    "/srv/broker": "broker",
    "/opt/bridge": "bridge",
    "/etc/systemd/system": "units",
    "/usr/local/sbin": "sbin",
}
"""Where the machine's directories are here, below the machine's own."""
_REFRESH = "/usr/local/sbin/refresh"
_BRIDGE_UNIT = "/etc/systemd/system/bridge.service"
_MOSQUITTO_UNIT = "/etc/systemd/system/mosquitto.service.d/override.conf"
_CONFIGURATION = "/srv/broker/mosquitto.conf"
_LISTENERS = ("8883", "8884")
_SECONDS = 15


class Machine:
    """The VM in a directory. `port` stands for 8883."""

    def __init__(self, user_data: str, package: bytes, directory: Path) -> None:
        """Write cloud-init's files; `package`: bridge.zip. Raises Fault, CannotStart."""
        self._root = directory
        self._ports = {listener: free_port() for listener in _LISTENERS}
        self._mosquitto = Child("mosquitto", directory, last_signal=signal.SIGTERM)
        self._bridge: subprocess.Popen[bytes] | None = None
        self._bridge_log = directory / "bridge.log"
        self._notified: socket.socket | None = None
        user = unprivileged_user()
        for place in _PLACES.values():
            make_directory(directory / place)
        make_directory(self.place("/srv/broker/data"), owner=user)
        if user:
            os.chown(self.place("/srv/broker"), -1, user)  # as the recipe's chgrp does
        self._install(user_data)
        self._unpack_bridge(package)

    @property
    def port(self) -> int:
        """Where logins by password come in."""
        return self._ports["8883"]

    @property
    def bridge_password(self) -> str:
        """What `refresh` has made up."""
        return self.place("/srv/broker/bridge.password").read_text()

    def place(self, path: str) -> Path:
        """Where a path of the machine is here. Raises Fault if nothing says so."""
        for there, here in _PLACES.items():
            if path == there or path.startswith(f"{there}/"):
                return self._root / here / path.removeprefix(there).lstrip("/")
        raise Fault(f"the broker's machine uses {path}, which the rehearsal has no place for")

    def start_mosquitto(self, environment: dict[str, str]) -> None:
        """Run `refresh`, then what it has told systemd to start of Mosquitto."""
        calls = self._refresh(environment)
        if not any(call.endswith(" mosquitto.service") for call in calls):
            raise Fault(f"{_REFRESH} does not start mosquitto.service, only {calls}")
        unit = _unit(self.place(_MOSQUITTO_UNIT))
        try:
            self._mosquitto.start(
                _command(unit),
                port=self.port,
                ready=lambda: all(map(_listens, self._ports.values())),
                cwd=self.place(unit["WorkingDirectory"]),
                user=unprivileged_user(),
            )
        except CannotStart as error:
            raise Fault(f"Mosquitto does not start with its configuration: {error}") from None

    def start_bridge(self, environment: dict[str, str]) -> None:
        """Start the bridge as its unit says; when this returns, it has subscribed."""
        unit = _unit(self.place(_BRIDGE_UNIT))
        given = self.place(unit["EnvironmentFile"]).read_text().splitlines()
        settings = dict(line.split("=", 1) for line in given)
        replaced = {"MQTT_PORT": str(self.port)}
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.settimeout(0.2)
        self._notified.bind(str(address := self._root / "notify"))
        with self._bridge_log.open("wb") as log:
            self._bridge = subprocess.Popen(  # noqa: S603 - the unit's own command
                leashed(_command(unit), user=0, last_signal=signal.SIGTERM),
                cwd=self.place(unit["WorkingDirectory"]),
                env={
                    "PATH": os.defpath,
                    **environment,
                    **settings,
                    **replaced,
                    "NOTIFY_SOCKET": str(address),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_connected(self._bridge)

    def stop_bridge(self) -> None:
        """Stop the bridge in order; insist after a while."""
        if self._bridge is not None:
            self._bridge.terminate()
            try:
                self._bridge.wait(5)
            except subprocess.TimeoutExpired:
                self._bridge.kill()
                self._bridge.wait()
        if self._notified is not None:
            self._notified.close()

    def stop_mosquitto(self) -> None:
        """Stop Mosquitto in order."""
        self._mosquitto.stop()

    def _install(self, user_data: str) -> None:
        for file in yaml.safe_load(user_data)["write_files"]:
            if file["encoding"] != "b64":
                raise Fault(f"cloud-init: {file['path']} is not encoded in base64")
            text = b64decode(file["content"]).decode()
            if file["path"] == _CONFIGURATION:
                text = self._with_our_ports(text)
            here = self.place(file["path"])
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_text(text)
            here.chmod(int(file["permissions"], 8))
        for path in (_REFRESH, _BRIDGE_UNIT, _MOSQUITTO_UNIT, _CONFIGURATION):
            if not self.place(path).exists():
                raise Fault(f"cloud-init does not install {path}")

    def _with_our_ports(self, configuration: str) -> str:
        for listener, ours in self._ports.items():
            if f"\nlistener {listener}\n" not in configuration:
                raise Fault(f"{_CONFIGURATION} has no listener on port {listener}")
            line = f"\nlistener {ours} {HOST}\n"
            configuration = configuration.replace(f"\nlistener {listener}\n", line)
        return configuration

    def _unpack_bridge(self, package: bytes) -> None:
        """As `refresh` would, but with requirements that are installed here already."""
        home = self.place("/opt/bridge") / sha256(package).hexdigest()[:16]
        with ZipFile(BytesIO(package)) as unpacked:
            unpacked.extractall(home)
        requirements.install(home / "requirements.txt", home)
        (home / "complete").touch()

    def _refresh(self, environment: dict[str, str]) -> list[str]:
        """Run it once; what it has told systemd."""
        calls = self._root / "systemctl.calls"
        calls.touch()
        systemctl = self._root / "bin" / "systemctl"
        systemctl.parent.mkdir(exist_ok=True)
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n')
        systemctl.chmod(0o755)
        places = {
            "BROKER_HOME": str(self.place("/srv/broker")),
            "BRIDGE_HOME": str(self.place("/opt/bridge")),
            "PATH": f"{systemctl.parent}:{os.defpath}",
        }
        done = subprocess.run(  # noqa: S603 - the machine's own script
            [sys.executable, str(self.place(_REFRESH))],
            env={**environment, **places},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Fault(f"{_REFRESH} fails: {done.stderr.strip().splitlines()[-1]}")
        return calls.read_text().splitlines()

    def _wait_until_connected(self, bridge: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _SECONDS
        state = b""
        while b"STATUS=connected" not in state:
            if bridge.poll() is not None or time.monotonic() > deadline:
                log = self._bridge_log.read_text().strip().splitlines() or ["it wrote nothing"]
                raise Fault(f"the bridge does not subscribe at the broker: {log[-1]}")
            with suppress(TimeoutError):
                assert self._notified  # noqa: S101 - start_bridge has made it
                state = self._notified.recv(1024)


def _unit(file: Path) -> dict[str, str]:
    """A systemd unit's settings; of one that is given twice, the last."""
    lines = file.read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    settings = dict(pairs)
    missing = [name for name in ("ExecStart", "WorkingDirectory") if not settings.get(name)]
    if missing:
        raise Fault(f"{file.name} has no {missing[0]}")
    return settings


def _command(unit: dict[str, str]) -> list[str]:
    """A unit's command line with this machine's programs. Raises Fault, CannotStart."""
    program, *arguments = unit["ExecStart"].split()
    programs = {
        "/usr/bin/python3": [sys.executable, "-S"],  # -S: without what is installed here
        "/usr/sbin/mosquitto": [found] if (found := find_mosquitto()) else [],
    }
    if program not in programs:
        raise Fault(f"a unit starts {program}, which the rehearsal has nothing for")
    if not programs[program]:
        raise CannotStart(f"{program} is not installed here: the rehearsal needs it")
    return [*programs[program], *arguments]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
