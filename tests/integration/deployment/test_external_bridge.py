"""A bridge's virtual machine, whose broker is elsewhere."""

import json
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from bridge import settings
from tests.integration.deployment.deployed_broker import bridge_environment
from tests.support.database import fast_directory
from tests.support.deployment import Deployment
from tests.support.lockbox import Cloud
from tests.support.programs import needs

pytestmark = needs("mosquitto")
SECRET = "e6q-bridge"  # noqa: S105 - its id
RESTART = "restart bridge.service"


@pytest.fixture
def machine() -> Iterator[Deployment]:
    with fast_directory() as directory, Cloud() as cloud, Deployment(directory, cloud) as machine:
        cloud.secrets[SECRET] = [{"mqtt_bridge_password": "the-first"}]
        yield machine


def refresh(machine: Deployment, *, ca: str, **environment: str) -> settings.Settings:
    """Write what Terraform does to the metadata, refresh, and return the bridge's settings."""
    version = len(machine.cloud.secrets[SECRET])
    given: dict[str, Any] = {
        "ca": ca,
        "bridge_password": {"secret_id": SECRET, "version_id": str(version)},
        "logs": None,
        "bridge_environment": {
            "BRIDGE_FUNCTION_ID": "d4e-trigger",
            "REGISTRY_ID": "test",
            "MQTT_HOST": "mqtt.example.com",
            "MQTT_PORT": "8883",
            "MQTT_USERNAME": "bridge-of-ours",
            "BRIDGE_CLIENT_ID": f"bridge-{SECRET}",
            **environment,
        },
    }
    machine.cloud.metadata["attributes/broker"] = json.dumps(given)
    machine.systemctl.clear()
    done = machine.refresh()
    assert done.returncode == 0, done.stderr
    return settings.read(bridge_environment(machine))


def test_it_runs_the_bridge_only_with_the_broker_that_terraform_names(machine: Deployment) -> None:
    ca = (machine.pki / "ca.pem").read_text()
    found = refresh(machine, ca=ca)
    assert machine.systemctl == [RESTART]
    assert (found.mqtt_host, found.mqtt_port) == ("mqtt.example.com", 8883)
    assert (found.mqtt_username, found.mqtt_password) == ("bridge-of-ours", "the-first")
    assert found.mqtt_ca_file is not None
    assert found.mqtt_ca_file.read_text() == ca
    password = machine.home / "bridge.password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600


def test_a_new_password_restarts_the_bridge_in_the_same_session(machine: Deployment) -> None:
    ca, second_password = (machine.pki / "ca.pem").read_text(), "the-second"
    first = refresh(machine, ca=ca)
    assert refresh(machine, ca=ca) == first
    assert machine.systemctl == []
    machine.cloud.secrets[SECRET].append({"mqtt_bridge_password": second_password})
    second = refresh(machine, ca=ca)
    assert machine.systemctl == [RESTART]
    assert second.mqtt_password == second_password
    assert second.bridge_client_id == first.bridge_client_id == f"bridge-{SECRET}"


def test_without_a_ca_the_systems_verify_the_broker(machine: Deployment) -> None:
    assert refresh(machine, ca="", MQTT_CA_FILE="").mqtt_ca_file is None
