"""The deployed broker: changing credentials while it runs, and the machine's refresh."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.deployment.deployed_broker import (
    Scene,
    bridge_environment,
    printed_login,
)
from tests.support.deployment import Deployment, TlsClient, installed_files, lets_in
from tests.support.mqtt import SECONDS
from tests.support.programs import needs
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.slow, needs("mosquitto")]


# --- Credentials --------------------------------------------------------------


def test_only_a_revoked_cabinet_is_disconnected_and_refused(scene: Scene) -> None:
    login, other_login = scene.new_login(), scene.new_login()
    revoked, other = scene.device(login), scene.device(other_login)
    assert scene.deployment.logins("revoke", login[0]).returncode == 0
    assert scene.deployment.refresh().returncode == 0
    assert revoked.disconnected.wait(SECONDS)
    assert not lets_in(TlsClient(scene.deployment, login))
    assert not other.disconnected.is_set()


def test_a_rotated_password_replaces_the_old_one_immediately(scene: Scene) -> None:
    login = scene.new_login()
    device = scene.device(login)
    new_login = printed_login(scene.deployment.logins("rotate", login[0]))
    assert scene.deployment.refresh().returncode == 0
    assert device.disconnected.wait(SECONDS)
    assert not lets_in(TlsClient(scene.deployment, login))
    assert lets_in(TlsClient(scene.deployment, new_login))


def test_only_a_revoked_certificate_is_disconnected_and_refused(scene: Scene) -> None:
    device_id, other_id = scene.new_certificate(), scene.new_certificate()
    stolen = TlsClient(scene.deployment, certificate=device_id)  # it has read the files already
    session = scene.certified(device_id)
    assert scene.deployment.logins("revoke", device_id).returncode == 0
    assert scene.deployment.refresh().returncode == 0
    assert session.disconnected.wait(SECONDS)
    assert not lets_in(stolen)
    assert lets_in(TlsClient(scene.deployment, certificate=other_id))


def test_a_rotated_certificate_replaces_the_old_one(scene: Scene) -> None:
    device_id = scene.new_certificate()
    stolen = TlsClient(scene.deployment, certificate=device_id)
    done = scene.deployment.logins("rotate", "--certificate", device_id)
    assert done.returncode == 0, done.stderr
    assert scene.deployment.refresh().returncode == 0
    assert not lets_in(stolen)
    assert lets_in(TlsClient(scene.deployment, certificate=device_id))


def test_the_list_names_every_login_and_its_kind(scene: Scene) -> None:
    login, certified = scene.new_login(), scene.new_certificate()
    lines = scene.deployment.logins("list").stdout.splitlines()
    assert {f"{login[0]} password", f"{certified} certificate"} <= set(lines)
    assert not any("certificates/" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "bridge"), "cannot be a device's id"),
        (("add", "a/b"), "cannot be a device's id"),
        (("add", "--certificate", "+"), "cannot be a device's id"),
        (("rotate", "unknown"), "no such login: unknown; create it with `add`"),
        (("revoke", "unknown"), "no login or certificate of unknown"),
    ],
)
def test_an_invalid_change_is_refused_with_the_reason_and_changes_nothing(
    deployment: Deployment, arguments: tuple[str, ...], reason: str
) -> None:
    before = json.dumps(deployment.cloud.secrets)
    done = deployment.logins(*arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert json.dumps(deployment.cloud.secrets) == before


def test_a_login_is_not_replaced_by_adding_it_again(scene: Scene) -> None:
    login = scene.new_login()
    done = scene.deployment.logins("add", login[0])
    assert "login exists already" in done.stderr
    assert lets_in(TlsClient(scene.deployment, login))


def test_no_cabinets_password_is_stored_in_plain_text(scene: Scene) -> None:
    _, password = scene.new_login()
    assert password not in json.dumps(scene.deployment.cloud.secrets)
    assert password not in (scene.deployment.home / "passwords").read_text()


# --- The machine's refresh ----------------------------------------------------


def test_a_refresh_without_a_change_restarts_no_service(deployment: Deployment) -> None:
    assert deployment.refresh().returncode == 0
    deployment.systemctl.clear()
    assert deployment.refresh().returncode == 0
    assert deployment.systemctl == []


def test_an_unavailable_lockbox_revokes_no_login(scene: Scene) -> None:
    login = scene.new_login()
    device = scene.device(login)
    scene.deployment.cloud.broken = True
    try:
        done = scene.deployment.refresh()
    finally:
        scene.deployment.cloud.broken = False
    assert done.returncode == 1
    assert "the next run tries again" in done.stderr
    assert not device.disconnected.is_set()
    assert lets_in(TlsClient(scene.deployment, login))


def test_a_reload_that_systemd_failed_to_do_is_requested_again(deployment: Deployment) -> None:
    login = printed_login(deployment.logins("add", f"device-{uuid4()}"))
    deployment.broken_systemd.touch()
    try:
        assert deployment.refresh().returncode == 1
    finally:
        deployment.broken_systemd.unlink()
    assert not lets_in(TlsClient(deployment, login))
    assert deployment.refresh().returncode == 0
    wait_until(lambda: lets_in(TlsClient(deployment, login)))


def test_a_new_package_replaces_the_bridge_and_restarts_it(deployment: Deployment) -> None:
    before = deployment.bridge.resolve()
    deployment.deploy(bridge="print('new')")
    deployment.systemctl.clear()
    assert deployment.refresh().returncode == 0
    command = [sys.executable, "-m", "bridge"]
    done = subprocess.run(command, cwd=deployment.bridge, capture_output=True, check=True)
    assert done.stdout == b"new\n"
    assert "restart bridge.service" in deployment.systemctl
    assert not before.exists()


def test_the_secrets_are_not_readable_by_other_users(deployment: Deployment) -> None:
    for name in ("passwords", "tls/server.pem", "bridge.env", "bridge.password"):
        assert (deployment.home / name).stat().st_mode & 0o007 == 0


def test_the_bridge_connects_with_the_settings_that_the_refresh_wrote(
    deployment: Deployment, tmp_path: Path
) -> None:
    unit = installed_files()["/etc/systemd/system/bridge.service"].text
    command = re.search(r"^ExecStart=/usr/bin/python3 (.+)$", unit, re.MULTILINE)
    assert command is not None
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(SECONDS)
        environment = {
            **bridge_environment(deployment),
            "MQTT_PORT": str(deployment.own_port),
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
        }
        with subprocess.Popen(
            [sys.executable, *command[1].split()], cwd=ROOT, env=environment
        ) as bridge:
            try:
                while b"STATUS=connected" not in systemd.recv(1000):
                    assert bridge.poll() is None
            finally:
                bridge.terminate()
    assert bridge.returncode == 0
