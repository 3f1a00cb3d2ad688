"""The clients of one test at the deployed broker."""

import subprocess
from contextlib import ExitStack
from uuid import uuid4

from tests.support.deployment import SERVICE_PASSWORD, Deployment, TlsClient, lets_in
from tests.support.waiting import wait_until

EVENTS = "$devices/+/events"


class Scene:
    """The clients of one test at the deployed broker."""

    def __init__(self, deployment: Deployment, clients: ExitStack) -> None:
        self.deployment = deployment
        self._clients = clients

    def enter(self, client: TlsClient) -> TlsClient:
        return self._clients.enter_context(client)

    def new_login(self) -> tuple[str, str]:
        """Add a cabinet with a password; return its login."""
        device_id = f"device-{uuid4()}"
        login = printed_login(self.deployment.logins("add", device_id))
        assert login[0] == device_id
        assert self.deployment.refresh().returncode == 0
        wait_until(lambda: lets_in(TlsClient(self.deployment, login)))
        return login

    def new_certificate(self) -> str:
        """Add a cabinet with a certificate; return its id."""
        device_id = f"device-{uuid4()}"
        assert self.deployment.logins("add", "--certificate", device_id).returncode == 0
        return device_id

    def device(self, login: tuple[str, str]) -> TlsClient:
        return self.enter(TlsClient(self.deployment, login))

    def certified(self, device_id: str) -> TlsClient:
        return self.enter(TlsClient(self.deployment, certificate=device_id))

    def service(self) -> TlsClient:
        return self.enter(TlsClient(self.deployment, ("service", SERVICE_PASSWORD)))

    def bridge(self, *, client_id: str = "") -> TlsClient:
        login = ("bridge", bridge_environment(self.deployment)["MQTT_PASSWORD"])
        persistent = bool(client_id)
        return self.enter(
            TlsClient(self.deployment, login, client_id=client_id, persistent=persistent)
        )


def printed_login(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    assert done.returncode == 0, done.stderr
    device_id, password = done.stdout.split()
    return device_id, password


def bridge_environment(deployment: Deployment) -> dict[str, str]:
    lines = (deployment.home / "bridge.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)
