"""The machine's refresh installs Unified Agent, which sends the logs to Cloud Logging."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.integration.deployment.deployed_broker import printed_login
from tests.support.deployment import Deployment
from tests.support.programs import needs

pytestmark = needs("mosquitto")

PROGRAM = "the program of the agent"
DIGEST = hashlib.sha256(PROGRAM.encode()).hexdigest()


def logs(version: str, sha256: str = "", *, group: str = "e23group") -> dict[str, Any]:
    return {"log_group_id": group, "agent": {"version": version, "sha256": sha256}}


@pytest.fixture
def machine(deployment: Deployment) -> Iterator[Deployment]:
    deployment.cloud.agents = {"25.03.80": PROGRAM, "26.1": "another program"}
    yield deployment
    deployment.deploy()


def restarts(machine: Deployment) -> int:
    return machine.systemctl.count("restart unified_agent.service")


def test_the_agent_is_installed_with_the_log_group_and_restarted_once(machine: Deployment) -> None:
    machine.deploy(logs=logs("25.03.80", DIGEST))
    machine.systemctl.clear()
    for _ in range(2):
        assert machine.refresh().returncode == 0
    assert restarts(machine) == 1
    assert machine.agent.read_text() == PROGRAM
    assert machine.agent.stat().st_mode & 0o777 == 0o755
    installed = yaml.safe_load((machine.home / "unified_agent.installed.yml").read_text())
    output = installed["routes"][0]["channel"]["output"]["config"]
    assert output["log_group_id"] == "e23group"
    machine.deploy(logs=logs("26.1", group="e23another"))
    assert machine.refresh().returncode == 0
    assert restarts(machine) == 2
    assert machine.agent.read_text() == "another program"


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (logs("0.0"), "/agents/0.0/unified_agent: 404"),
        (logs("26.1", DIGEST), f"instead of {DIGEST}"),
    ],
)
def test_an_agent_that_cannot_be_installed_leaves_broker_and_bridge_working(
    machine: Deployment, wanted: dict[str, Any], reason: str
) -> None:
    machine.deploy(logs=wanted)
    login = printed_login(machine.logins("add", f"cabinet-{wanted['agent']['version']}"))
    done = machine.refresh()
    assert done.returncode == 1
    assert reason in done.stderr
    assert f"{login[0]}:" in (machine.home / "passwords").read_text()


def test_without_logs_no_agent_is_installed(machine: Deployment) -> None:
    machine.systemctl.clear()
    machine.deploy()
    assert machine.refresh().returncode == 0
    assert restarts(machine) == 0
