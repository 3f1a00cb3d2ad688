"""`python -m tools logins --local`: devices' own passwords at the broker of a local cloud."""

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest

from local.broker import DEVICE_PASSWORD, Broker
from tests.support import pages
from tests.support.command_line import run
from tests.support.database import fast_directory
from tests.support.local_cloud import LocalCloud
from tests.support.mqtt import SECONDS, Client
from tests.support.shell import shell_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


class Scene:
    """A local cloud with a registered cabinet that is not simulated."""

    def __init__(self, stack: LocalCloud) -> None:
        self.stack = stack
        self.device_id = f"D-{uuid4()}"
        self.register(self.device_id)

    def register(self, device_id: str) -> None:
        body = {"cabinet_id": device_id, "coords": {"lat": 55.7, "lon": 37.6}, "cells_total": 1}
        self.stack.operator.post("/v1/cabinets", body)

    def logins(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = ["--local", "--data-dir", str(self.stack.data_dir)]
        return run([sys.executable, "-m", "tools", "logins", command, *options, *arguments])

    def add(self) -> str:
        """Give the device a password of its own; return it."""
        done = self.logins("add", self.device_id)
        assert done.returncode == 0, done.stderr
        device_id, password = done.stdout.split()
        assert device_id == self.device_id
        return password

    def client(self, password: str) -> Client:
        broker = Broker(self.stack.data_dir)
        broker.port = self.stack.addresses["mqtt_port"]
        return Client(broker, (self.device_id, password), client_id=self.device_id)

    def lets_in(self, password: str) -> bool:
        client = self.client(password)
        try:
            return not client.connect().is_failure
        finally:
            client.close()

    def unused(self) -> dict[str, str]:
        """Return why logins were never used, as listed."""
        lines = self.logins("list", "--unused").stdout.splitlines()
        return {line.split()[0]: line.split()[2] for line in lines}


@pytest.fixture
def scene(stack: LocalCloud) -> Scene:
    return Scene(stack)


def test_a_password_of_its_own_replaces_the_shared_one(scene: Scene) -> None:
    assert scene.lets_in(DEVICE_PASSWORD)
    password = scene.add()
    assert scene.lets_in(password)
    assert not scene.lets_in(DEVICE_PASSWORD)


def test_a_rotated_password_replaces_the_old_one_and_disconnects_it(scene: Scene) -> None:
    with scene.client(scene.add()) as device:
        new = scene.logins("rotate", scene.device_id).stdout.split()[1]
        assert device.disconnected.wait(SECONDS)
    assert scene.lets_in(new)


def test_a_revoked_device_is_disconnected_and_refused(scene: Scene) -> None:
    with scene.client(DEVICE_PASSWORD) as device:
        assert scene.logins("revoke", scene.device_id).returncode == 0
        assert device.disconnected.wait(SECONDS)
    assert not scene.lets_in(DEVICE_PASSWORD)


def test_a_login_is_unused_until_the_service_has_heard_of_its_cabinet(scene: Scene) -> None:
    password, without_cabinet = scene.add(), f"N-{uuid4()}"
    assert scene.logins("add", without_cabinet).returncode == 0
    unused = scene.unused()
    assert unused[scene.device_id] == "never-connected"
    assert unused[without_cabinet] == "no-cabinet"
    hello = {"v": 1, "type": "hello", "boot_id": "b-1", "seq": 1, "cells_total": 1}
    with scene.client(password) as device:
        device.publish(f"$devices/{scene.device_id}/events", json.dumps(hello).encode())
        path = f"/v1/cabinets/{scene.device_id}"
        wait_until(lambda: scene.stack.operator.get(path)["last_seen_at"] is not None)
    assert scene.device_id not in scene.unused()


def test_a_whole_list_gets_its_logins_in_one_step(scene: Scene, tmp_path: Path) -> None:
    file, handover = tmp_path / "fleet.csv", tmp_path / "logins.json"
    file.write_text(f"cabinet_id;device_id\nC-X;{scene.device_id}\nC-Y;Y-{uuid4()}\n")
    done = scene.logins("add", "--from", str(file), "--handover", str(handover))
    assert done.returncode == 0, done.stderr
    content = json.loads(handover.read_text())
    assert content["broker"]["port"] == scene.stack.addresses["mqtt_port"]
    assert content["logins"][0]["cabinet_id"] == "C-X"
    assert content["logins"][0]["subscribe_all"] == "$registries/local/commands"
    assert scene.lets_in(content["logins"][0]["password"])


def test_the_services_cabinets_get_their_logins_except_simulated_ones(scene: Scene) -> None:
    options = ("--all-cabinets", "--without-login", "--handover", "-")
    done = scene.logins("add", *options)
    assert done.returncode == 0, done.stderr
    passwords = {row["device_id"]: row["password"] for row in csv.DictReader(StringIO(done.stdout))}
    assert "C-001" not in passwords
    assert scene.lets_in(passwords[scene.device_id])
    assert scene.logins("add", *options).stderr == "There is nothing to do.\n"


def test_the_password_of_a_simulated_cabinet_cannot_be_changed(scene: Scene) -> None:
    done = scene.logins("add", "C-001")
    assert done.returncode == 2
    assert "C-001 is a simulated cabinet, which has only the password local-device" in done.stderr


def test_the_commands_of_the_page_work_on_a_local_cloud(stack: LocalCloud) -> None:
    [block] = pages.shell_blocks("docs/cabinet-credentials.md", "Logins for a fleet")
    with fast_directory() as directory, shell_in(directory, stack) as shell:
        output = shell.run(block)
    assert "K-1 password no-cabinet\nK-2 password no-cabinet\n" in output
    assert {stack.control.passwords()[one] for one in ("K-1", "K-2")} == {""}


def test_a_command_without_a_running_cloud_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools", "logins", "list", "--local"]
    done = run([*command, "--data-dir", str(tmp_path)])
    assert done.returncode == 2
    assert done.stderr.startswith(f"tools: no stack runs on {tmp_path}")
