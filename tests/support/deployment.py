"""The broker's machine as cloud-init creates it, in a directory, with a fake cloud."""

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import traceback
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, Self

from local.broker import find_mosquitto
from local.children import HOST, Child, free_port, make_directory, unprivileged_user
from tests.support.lockbox import Cloud
from tests.support.mqtt import Client
from tests.support.processes import ROOT, is_free
from tests.support.waiting import wait_until

RECIPE = Path(__file__).parents[2] / "terraform" / "broker"
_HOME = "/srv/broker/"
_PACKAGES = "requirements.txt"
CABINETS = [f"cabinets-{number}" for number in range(1, 9)]
"""The ids of the secrets with the cabinets' logins."""
SERVICE_PASSWORD = "the-functions-password"  # noqa: S105 - of a broker that lives for a test


class InstalledFile(NamedTuple):
    """A file that cloud-init writes."""

    text: str
    permissions: int


def user_data(*, mosquitto: bool = True) -> str:
    """Return the user data that Terraform renders from the template."""

    def encoded(match: re.Match[str]) -> str:
        return base64.b64encode((RECIPE / match[1]).read_bytes()).decode()

    template = (RECIPE / "user-data.yaml.tftpl").read_text()
    only_with_mosquitto = re.compile(r"%{ if mosquitto }(.*?)%{ endif }", re.DOTALL)
    template = only_with_mosquitto.sub(r"\1" if mosquitto else "", template)
    return re.sub(r'\$\{files\["([^"]+)"]}', encoded, template)


def installed_files() -> dict[str, InstalledFile]:
    """Return the files of the rendered user data, by their path on the machine."""
    entry = r'- {path: (\S+), permissions: "(\d+)", encoding: b64, content: "(.*)"}'
    return {
        path: InstalledFile(base64.b64decode(content).decode(), int(permissions, 8))
        for path, permissions, content in re.findall(entry, user_data())
    }


class Deployment:
    """The broker's machine: cloud-init's files, `refresh`, and a Mosquitto that uses them.

    Only the ports differ, so that several can run at once. `systemctl` is a fake.
    """

    host = "localhost"

    def __init__(self, directory: Path, cloud: Cloud) -> None:
        self.cloud = cloud
        self.home = directory / "broker"
        self.pki = directory / "pki"
        self.port, self.certificate_port, self.own_port = free_port(), free_port(), free_port()
        self.api_url = "https://api.example"
        self.systemctl: list[str] = []
        """The commands that `refresh` has given to systemctl."""
        self.broken_systemd = directory / "systemctl.broken"
        """While this file exists, systemctl fails."""
        self._directory = directory
        self._calls = directory / "systemctl.calls"
        self._mosquitto = Child("mosquitto", directory, stop_signal=signal.SIGTERM)
        self._install()
        self.certificates("authority")
        self.certificates("server", self.host)
        cloud.secrets = {name: [] for name in ("certificate", "service", *CABINETS)}
        self.deploy()

    @property
    def bridge(self) -> Path:
        """The directory of the bridge's current version."""
        return self._directory / "bridge" / "current"

    @property
    def agent(self) -> Path:
        """The program of Unified Agent."""
        return self._directory / "agent" / "unified_agent"

    def port_of(self, username: str) -> int:
        """Return the port for a login with a password."""
        return self.own_port if username in ("service", "bridge") else self.port

    def deploy(self, *, bridge: str = "", logs: dict[str, Any] | None = None) -> None:
        """Write to Lockbox and the VM's metadata what `terraform apply` does.

        `bridge` is code, `logs` the settings of Unified Agent.
        """
        self.cloud.metadata["attributes/bridge"] = base64.b64encode(_package(bridge)).decode()
        certificate = self.certificates("server", self.host).stdout
        self.cloud.secrets["certificate"].append({"server.pem": certificate})
        self.cloud.secrets["service"].append({"password": SERVICE_PASSWORD})
        settings = {
            "ca": (self.pki / "ca.pem").read_text(),
            "revoked": (self.pki / "revoked.pem").read_text(),
            **{
                name: {"secret_id": name, "version_id": str(len(self.cloud.secrets[name]))}
                for name in ("certificate", "service")
            },
            "cabinets": [{"secret_id": secret_id} for secret_id in CABINETS],
            "logs": logs,
            "bridge_environment": {"BRIDGE_FUNCTION_ID": "d4e-trigger", "REGISTRY_ID": "test"},
        }
        self.cloud.metadata["attributes/broker"] = json.dumps(settings)

    def refresh(self) -> subprocess.CompletedProcess[str]:
        """Run `refresh` as the machine's timer does, and execute its systemctl commands."""
        self._calls.write_text("")
        environment = {
            **self.cloud.environment,
            "BROKER_HOME": str(self.home),
            "BRIDGE_HOME": str(self.bridge.parent),
            "AGENT_HOME": str(self.agent.parent),
            "PATH": f"{self._directory / 'bin'}:{_path()}",
        }
        done = _run(sys.executable, self._directory / "refresh", environment=environment)
        calls = self._calls.read_text().splitlines()
        self.systemctl += calls
        for call in calls:
            if call == "restart mosquitto.service":
                self.restart()
            elif call == "reload-or-restart mosquitto.service":
                self.reload()
        return done

    def reload(self) -> None:
        """Let Mosquitto read its logins again, as `systemctl reload` does."""
        self._mosquitto.signal(signal.SIGHUP)

    def restart(self, *, port: int = 0) -> None:
        """Stop Mosquitto if it runs, and start it; `port` is where `service` logs in."""
        self.stop()
        self._mosquitto.start(
            [find_mosquitto() or "mosquitto", "-c", "mosquitto.conf"],
            port=self.port,
            ready=lambda: self._is_ready(port or self.own_port),
            cwd=self.home,
            user=unprivileged_user(),
        )

    def stop(self) -> None:
        """Stop Mosquitto gracefully."""
        self._mosquitto.stop()

    def logins(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the operator's `python -m tools logins`."""
        environment = {**self.cloud.environment, "PKI": str(self.pki), "PATH": _path()}
        tool = (sys.executable, "-m", "tools", "logins", command)
        return _run(*tool, "--outputs", self.outputs(), *arguments, environment=environment)

    def outputs(self) -> Path:
        """Return a file with the output of `terraform output -json`."""
        values = {
            "api_url": self.api_url,
            "mqtt_broker": f"{self.host}:{self.port}",
            "registry_id": "test",
            "broker_ca": (self.pki / "ca.pem").read_text(),
            "cabinets_secret_ids": CABINETS,
        }
        file = self._directory / "outputs.json"
        file.write_text(json.dumps({name: {"value": value} for name, value in values.items()}))
        return file

    def certificates(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the CA's `certificates` script."""
        environment = {"PKI": str(self.pki), "PATH": _path()}
        return _run(RECIPE / "certificates", *arguments, environment=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _is_ready(self, port: int) -> bool:
        # It listens before it minds signals, but answers only afterwards.
        service = TlsClient(self, ("service", SERVICE_PASSWORD), port=port)
        return not is_free(port) and lets_in(service)

    def _install(self) -> None:
        user = unprivileged_user()
        make_directory(self.home)
        make_directory(self.home / "data", owner=user)
        if user:
            os.chown(self.home, -1, user)  # as the recipe's chgrp does
        files = installed_files()
        for path, file in files.items():
            if path.startswith(_HOME):
                self._write(self.home / path.removeprefix(_HOME), file.text, file.permissions)
        configuration = self.home / "mosquitto.conf"
        text = configuration.read_text()
        ports = {8883: self.port, 8884: self.certificate_port, 8885: self.own_port}
        for port, ours in ports.items():
            assert f"\nlistener {port}\n" in text
            text = text.replace(f"\nlistener {port}\n", f"\nlistener {ours} {HOST}\n")
        configuration.write_text(text)
        refresh = files["/usr/local/sbin/refresh"]
        self._write(self._directory / "refresh", refresh.text, refresh.permissions)
        (self._directory / "bin").mkdir()
        systemctl = f'#!/bin/sh\n[ ! -e {self.broken_systemd} ] && echo "$@" >> {self._calls}\n'
        self._write(self._directory / "bin/systemctl", systemctl, 0o755)

    def _write(self, file: Path, text: str, permissions: int) -> None:
        file.write_text(text)
        file.chmod(permissions)


class TlsClient(Client):
    """A client that verifies the broker as the functions and the bridge do."""

    def __init__(  # noqa: PLR0913 - a test makes any one of them wrong
        self,
        deployment: Deployment,
        login: tuple[str, str] | None = None,
        *,
        certificate: str = "",
        ca: Path | None = None,
        host: str = "",
        port: int = 0,
        client_id: str = "",
        persistent: bool = False,
    ) -> None:
        super().__init__(
            deployment,  # type: ignore[arg-type]  # it has a host and a port, which is enough
            login,
            client_id=client_id,
            persistent=persistent,
        )
        self._host = host or deployment.host
        self._port = port or (deployment.certificate_port if certificate else self._port)
        files = deployment.pki / "devices"
        self._paho.tls_set(
            str(ca or deployment.pki / "ca.pem"),
            certfile=str(files / f"{certificate}.pem") if certificate else None,
            keyfile=str(files / f"{certificate}.key") if certificate else None,
        )

    def __enter__(self) -> Self:
        assert self.is_let_in()
        return self

    def is_let_in(self) -> bool:
        """Whether the broker accepts this client. Raises OSError if it rejects the broker."""
        try:
            self._paho.connect(self._host, self._port)
        except OSError as error:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # paho does not close the socket
                traceback.clear_frames(error.__traceback__)
            raise
        self._paho.loop_start()
        wait_until(lambda: not self._reasons.empty() or self.disconnected.is_set())
        return not self._reasons.empty() and not self._reasons.get().is_failure


def lets_in(client: TlsClient) -> bool:
    """Whether the broker accepts this client, which is disconnected afterwards."""
    try:
        return client.is_let_in()
    finally:
        client.close()


def _package(code: str) -> bytes:
    """Return a bridge.zip without dependencies: the same bytes for the same code."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as package:
        for name, text in (
            ("bridge/__main__.py", code),
            ("shared/log.py", ""),
            (_PACKAGES, ""),
        ):
            package.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


def _path() -> str:
    return os.environ["PATH"]  # noqa: TID251 - the scripts run openssl and the like


def _run(*command: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    arguments = [str(part) for part in command]
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
