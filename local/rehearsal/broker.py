"""The broker's virtual machine in a directory: runs Mosquitto and the bridge as systemd would."""

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

import yaml

from local import CannotStart
from local.broker import find_mosquitto
from local.children import (
    HOST,
    Child,
    ending_with_parent,
    free_port,
    make_directory,
    unprivileged_user,
)
from local.rehearsal import Fault, requirements

_DIRECTORIES = {
    "/srv/broker": "broker",
    "/opt/bridge": "bridge",
    "/opt/unified_agent": "agent",
    "/etc/systemd/system": "units",
    "/usr/local/sbin": "sbin",
    "/etc": "etc",
}
"""Directories of the virtual machine: the names of those that stand for them."""
_REFRESH = "/usr/local/sbin/refresh"
_BRIDGE_UNIT = "/etc/systemd/system/bridge.service"
_MOSQUITTO_UNIT = "/etc/systemd/system/mosquitto.service.d/override.conf"
_CONFIGURATION = "/srv/broker/mosquitto.conf"
_LISTENERS = ("8883", "8884", "8885")
_SECONDS_TO_SUBSCRIBE = 15


class Machine:
    """The virtual machine. Its listeners have free ports instead of 8883 to 8885."""

    def __init__(self, user_data: str, package: bytes, directory: Path) -> None:
        """Install the files of cloud-init and `package`, bridge.zip. Raises Fault, CannotStart."""
        self._root = directory
        self._ports = {listener: free_port() for listener in _LISTENERS}
        self._mosquitto = Child("mosquitto", directory, stop_signal=signal.SIGTERM)
        self._bridge: subprocess.Popen[bytes] | None = None
        self._bridge_log = directory / "bridge.log"
        self._notify_socket: socket.socket | None = None
        user = unprivileged_user()
        for name in _DIRECTORIES.values():
            make_directory(directory / name)
        make_directory(self.local_path("/srv/broker/data"), owner=user)
        if user:
            os.chown(self.local_path("/srv/broker"), -1, user)  # as cloud-init's chgrp does
        self._install(user_data)
        self._unpack_bridge(package)

    @property
    def port(self) -> int:
        """The port for cabinets with a password."""
        return self._ports["8883"]

    @property
    def service_port(self) -> int:
        """The port for the functions and the bridge."""
        return self._ports["8885"]

    @property
    def bridge_password(self) -> str:
        """The password that `refresh` generated."""
        return self.local_path("/srv/broker/bridge.password").read_text()

    def local_path(self, path: str) -> Path:
        """Return the path that stands for a path of the virtual machine. Raises Fault."""
        for directory, name in _DIRECTORIES.items():
            if path == directory or path.startswith(f"{directory}/"):
                return self._root / name / path.removeprefix(directory).lstrip("/")
        raise Fault(f"the broker's machine uses {path}, for which the rehearsal has no directory")

    def start_mosquitto(self, environment: dict[str, str]) -> None:
        """Run `refresh`, and start Mosquitto if it does so through systemctl. Raises Fault."""
        calls = self._refresh(environment)
        if not any(call.endswith(" mosquitto.service") for call in calls):
            raise Fault(f"{_REFRESH} does not start mosquitto.service, it calls: {calls}")
        unit = _unit(self.local_path(_MOSQUITTO_UNIT))
        try:
            self._mosquitto.start(
                _command(unit),
                port=self.port,
                ready=lambda: all(map(_listens, self._ports.values())),
                cwd=self.local_path(unit["WorkingDirectory"]),
                user=unprivileged_user(),
            )
        except CannotStart as error:
            raise Fault(f"Mosquitto does not start with its configuration: {error}") from None

    def start_bridge(self, environment: dict[str, str]) -> None:
        """Start the bridge as its unit does; return when it has subscribed. Raises Fault."""
        unit = _unit(self.local_path(_BRIDGE_UNIT))
        lines = self.local_path(unit["EnvironmentFile"]).read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines)
        self._notify_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify_socket.settimeout(0.2)
        self._notify_socket.bind(str(address := self._root / "notify"))
        with self._bridge_log.open("wb") as log:
            self._bridge = subprocess.Popen(  # noqa: S603 - the unit's own command
                ending_with_parent(_command(unit), user=0, stop_signal=signal.SIGTERM),
                cwd=self.local_path(unit["WorkingDirectory"]),
                env={
                    "PATH": os.defpath,
                    **environment,
                    **settings,
                    "MQTT_PORT": str(self.service_port),
                    "NOTIFY_SOCKET": str(address),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_connected(self._bridge)

    def stop_bridge(self) -> None:
        """Stop the bridge with SIGTERM, and with SIGKILL after a time limit."""
        if self._bridge is not None:
            self._bridge.terminate()
            try:
                self._bridge.wait(5)
            except subprocess.TimeoutExpired:
                self._bridge.kill()
                self._bridge.wait()
        if self._notify_socket is not None:
            self._notify_socket.close()

    def stop_mosquitto(self) -> None:
        """Stop Mosquitto."""
        self._mosquitto.stop()

    def _install(self, user_data: str) -> None:
        for file in yaml.safe_load(user_data)["write_files"]:
            if file["encoding"] != "b64":
                raise Fault(f"cloud-init: {file['path']} is not encoded in base64")
            text = b64decode(file["content"]).decode()
            if file["path"] == _CONFIGURATION:
                text = self._with_free_ports(text)
            path = self.local_path(file["path"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(int(file["permissions"], 8))
        for required in (_REFRESH, _BRIDGE_UNIT, _MOSQUITTO_UNIT, _CONFIGURATION):
            if not self.local_path(required).exists():
                raise Fault(f"cloud-init does not install {required}")

    def _with_free_ports(self, configuration: str) -> str:
        for listener, port in self._ports.items():
            if f"\nlistener {listener}\n" not in configuration:
                raise Fault(f"{_CONFIGURATION} has no listener on port {listener}")
            line = f"\nlistener {port} {HOST}\n"
            configuration = configuration.replace(f"\nlistener {listener}\n", line)
        return configuration

    def _unpack_bridge(self, package: bytes) -> None:
        """Unpack as `refresh` does, but link requirements that are installed on this machine."""
        home = self.local_path("/opt/bridge") / sha256(package).hexdigest()[:16]
        with ZipFile(BytesIO(package)) as unpacked:
            unpacked.extractall(home)
        requirements.install(home / "requirements.txt", home)
        (home / "complete").touch()

    def _refresh(self, environment: dict[str, str]) -> list[str]:
        """Run `refresh` once; return its systemctl calls. Raises Fault."""
        calls = self._root / "systemctl.calls"
        calls.touch()
        systemctl = self._root / "bin" / "systemctl"
        systemctl.parent.mkdir(exist_ok=True)
        systemctl.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n')
        systemctl.chmod(0o755)
        homes = {
            "BROKER_HOME": str(self.local_path("/srv/broker")),
            "BRIDGE_HOME": str(self.local_path("/opt/bridge")),
            "AGENT_HOME": str(self.local_path("/opt/unified_agent")),
            "PATH": f"{systemctl.parent}:{os.defpath}",
        }
        done = subprocess.run(  # noqa: S603 - the machine's own script
            [sys.executable, str(self.local_path(_REFRESH))],
            env={**environment, **homes},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Fault(f"{_REFRESH} fails: {done.stderr.strip().splitlines()[-1]}")
        return calls.read_text().splitlines()

    def _wait_until_connected(self, bridge: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _SECONDS_TO_SUBSCRIBE
        state = b""
        while b"STATUS=connected" not in state:
            if bridge.poll() is not None or time.monotonic() > deadline:
                log = self._bridge_log.read_text().strip().splitlines() or ["its log is empty"]
                raise Fault(f"the bridge does not subscribe: {log[-1]}")
            with suppress(TimeoutError):
                assert self._notify_socket  # noqa: S101 - start_bridge made it
                state = self._notify_socket.recv(1024)


def _unit(file: Path) -> dict[str, str]:
    """Return a systemd unit's settings; the last value of a repeated one. Raises Fault."""
    lines = file.read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    settings = dict(pairs)
    missing = [name for name in ("ExecStart", "WorkingDirectory") if not settings.get(name)]
    if missing:
        raise Fault(f"{file.name} has no {missing[0]}")
    return settings


def _command(unit: dict[str, str]) -> list[str]:
    """Return a unit's command with this machine's programs. Raises Fault, CannotStart."""
    program, *arguments = unit["ExecStart"].split()
    programs = {
        "/usr/bin/python3": [sys.executable, "-S"],  # -S: without the packages of this machine
        "/usr/sbin/mosquitto": [found] if (found := find_mosquitto()) else [],
    }
    if program not in programs:
        raise Fault(f"a unit starts {program}, which the rehearsal cannot run")
    if not programs[program]:
        raise CannotStart(f"the rehearsal needs {program}: install it")
    return [*programs[program], *arguments]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
