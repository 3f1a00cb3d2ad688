"""`python -m tools broker` at the deployed broker, and at one without access rights."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN, find_mosquitto
from local.children import Child, free_port, make_directory, unprivileged_user
from local.passwords import hashed
from tests.integration.deployment.deployed_broker import Scene, bridge_environment
from tests.support.deployment import SERVICE_PASSWORD
from tests.support.processes import ROOT, is_free
from tests.support.programs import needs

pytestmark = needs("mosquitto")
DEVICES = {"T-1": DEVICE_PASSWORD, "T-2": DEVICE_PASSWORD}


def write(directory: Path, **values: object) -> Path:
    """Write the tool's file; a dict becomes a table."""
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    plain = {key: value for key, value in values.items() if key not in tables}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(table[key])}" for key in table)]
    file = directory / "broker.toml"
    file.write_text("\n".join(lines))
    return file


def run(file: Path, *, only: str = "") -> subprocess.CompletedProcess[str]:
    options = ["--only", only] if only else []
    command = [sys.executable, "-m", "tools", "broker", str(file), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def lines(done: subprocess.CompletedProcess[str], outcome: str) -> set[str]:
    start = f"{outcome:8}"
    return {line.removeprefix(start) for line in done.stdout.splitlines() if line.startswith(start)}


@pytest.mark.slow
def test_the_deployed_broker_meets_every_requirement_over_tls(scene: Scene, tmp_path: Path) -> None:
    machine = scene.deployment
    file = write(
        tmp_path,
        host=machine.host,
        port=machine.own_port,
        devices_port=machine.port,
        ca_file=str(machine.pki / "ca.pem"),
        service=["service", SERVICE_PASSWORD],
        bridge=["bridge", bridge_environment(machine)["MQTT_PASSWORD"]],
        devices=dict([scene.new_login(), scene.new_login()]),
    )
    done = run(file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines(done, "failed") == set()
    assert "unacknowledged messages are redelivered in order" in lines(done, "passed")
    assert len(lines(done, "passed")) > 30
    assert done.stdout.splitlines()[-1].endswith("passed, 0 failed, 1 not checked")


@pytest.fixture
def lax_port(tmp_path: Path) -> Iterator[int]:
    """The port of a Mosquitto without access rights, which leaves clients their ids."""
    port, user = free_port(), unprivileged_user()
    home = tmp_path / "lax"
    tmp_path.chmod(0o755)
    make_directory(home, owner=user)
    logins = dict([SERVICE_LOGIN, BRIDGE_LOGIN]) | DEVICES
    (home / "passwords").write_text(
        "".join(f"{name}:{hashed(password)}\n" for name, password in logins.items())
    )
    (home / "passwords").chmod(0o644)
    options = "allow_anonymous false\npassword_file passwords\nmax_inflight_messages 10\n"
    (home / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\n{options}")
    mosquitto = Child("mosquitto", tmp_path, stop_signal=signal.SIGTERM)
    mosquitto.start(
        [find_mosquitto() or "mosquitto", "-c", "mosquitto.conf"],
        port=port,
        ready=lambda: not is_free(port),
        cwd=home,
        user=user,
    )
    yield port
    mosquitto.stop()


def described(directory: Path, port: int, **changes: object) -> Path:
    plain = {"host": "127.0.0.1", "port": port, "devices_port": port, "tls": False}
    logins = {"service": SERVICE_LOGIN, "bridge": BRIDGE_LOGIN, "devices": DEVICES}
    return write(directory, **(plain | logins | changes))


@pytest.mark.parametrize(
    ("only", "failed"),
    [
        (
            "can",
            {
                "a device cannot read other devices topics",
                "a device can publish only its own events",
                "the bridge cannot publish",
                "the service can neither subscribe nor publish events",
            },
        ),
        (
            "client id of another",
            {"a device with the client id of another client does not end its connection"},
        ),
        ("100 messages", {"100 messages are delivered before the first is acknowledged"}),
        ("an event", set()),
    ],
)
@pytest.mark.slow
def test_a_broker_that_allows_too_much_or_sends_too_little_at_once_fails(
    lax_port: int, tmp_path: Path, only: str, failed: set[str]
) -> None:
    done = run(described(tmp_path, lax_port), only=only)
    assert done.returncode == bool(failed), done.stdout + done.stderr
    assert lines(done, "failed") == failed


def test_a_wrong_password_fails_each_test_and_prints_no_password(
    lax_port: int, tmp_path: Path
) -> None:
    done = run(described(tmp_path, lax_port, bridge=["bridge", "mistyped"]), only="event")
    assert done.returncode == 1
    assert "an event reaches the bridge (1)" in lines(done, "failed")
    assert "the broker refuses the login: Not authorized" in done.stdout
    assert "mistyped" not in done.stdout + done.stderr


def test_mqtt_3_1_1_is_tested_without_the_expiry_of_commands(lax_port: int, tmp_path: Path) -> None:
    file = described(tmp_path, lax_port, mqtt_version="3.1.1", service=["service", "mistyped"])
    done = run(file, only="command")
    assert "not checked: the expiry of commands" in done.stdout
    assert not [line for line in done.stdout.splitlines() if "after the ttl" in line]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"devices_port": 0},
            "broker.toml: devices_port: Input should be greater than or equal to 1",
        ),
        ({"devices": {"T-1": "x"}}, "broker.toml: devices: Dictionary should have at least 2"),
        ({"ca_file": "none.pem"}, "broker.toml: ca_file: Path does not point to a file"),
        ({"hots": "x"}, "broker.toml: hots: Extra inputs are not permitted"),
        ({"mqtt_version": "4"}, "broker.toml: mqtt_version: Input should be '5' or '3.1.1'"),
        ({"bridge": "bridge"}, "broker.toml: bridge: Input should be a valid tuple"),
        ({}, "cannot connect to 127.0.0.1:"),
    ],
)
def test_what_is_wrong_with_the_file_is_named_in_one_line(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    done = run(described(tmp_path, free_port(), **changes))
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.startswith("tools: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    done = run(tmp_path / "missing.toml")
    assert done.returncode == 2
    assert "No such file or directory" in done.stderr


def test_a_broker_whose_certificate_is_of_another_ca_is_refused(
    scene: Scene, tmp_path: Path
) -> None:
    done = run(described(tmp_path, scene.deployment.own_port, tls=True, host="localhost"))
    assert done.returncode == 2
    assert "certificate verify failed" in done.stderr
