"""The deployed broker: logins of thousands of cabinets in one step."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.deployment.deployed_broker import Scene
from tests.support.deployment import CABINETS, Deployment, TlsClient, lets_in
from tests.support.mqtt import SECONDS
from tests.support.programs import needs
from tests.support.waiting import wait_until
from tools.logins.certificates import REVOKED

pytestmark = [pytest.mark.slow, needs("mosquitto")]

FLEET = [f"K-{number:04}" for number in range(3000)]
FILLED = 6
"""Number of secrets that they fill, of eight."""


@dataclass(frozen=True)
class Fleet:
    """A fleet whose logins were made in one step."""

    deployment: Deployment
    passwords: dict[str, str]
    done: subprocess.CompletedProcess[str]

    def login(self, device_id: str) -> tuple[str, str]:
        return device_id, self.passwords[device_id]


@pytest.fixture(scope="module")
def fleet(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet, after the machine's refresh."""
    directory = tmp_path_factory.mktemp("fleet")
    handover = directory / "logins.json"
    done = add(deployment, FLEET, handover)
    assert done.returncode == 0, done.stderr
    assert deployment.refresh().returncode == 0
    passwords = passwords_in(handover)
    last = FLEET[-1], passwords[FLEET[-1]]
    wait_until(lambda: lets_in(TlsClient(deployment, last)))
    yield Fleet(deployment, passwords, done)
    clear(deployment)


def add(
    deployment: Deployment, device_ids: list[str], handover: Path
) -> subprocess.CompletedProcess[str]:
    file = handover.with_suffix(".list.csv")
    file.write_text("cabinet_id\n" + "\n".join(device_ids))
    return deployment.logins("add", "--from", str(file), "--handover", str(handover))


def passwords_in(handover: Path) -> dict[str, str]:
    logins = json.loads(handover.read_text())["logins"]
    assert {one["state"] for one in logins} == {"valid"}
    return {one["username"]: one["password"] for one in logins}


@pytest.fixture(autouse=True)
def restored(deployment: Deployment) -> Iterator[None]:
    """Afterwards the secrets are as they were before: the tests of the fleet share them."""
    before = {name: [*deployment.cloud.secrets[name]] for name in CABINETS}
    yield
    for name in CABINETS:
        deployment.cloud.secrets[name][:] = before[name]


@pytest.fixture
def empty(deployment: Deployment, restored: None) -> None:
    """There are no logins."""
    clear(deployment)


def clear(deployment: Deployment) -> None:
    for name in CABINETS:
        deployment.cloud.secrets[name].clear()


def test_all_logins_are_stored_with_one_version_of_each_secret(fleet: Fleet) -> None:
    versions = [len(fleet.deployment.cloud.secrets[name]) for name in CABINETS]
    assert versions == [1] * FILLED + [0] * (len(CABINETS) - FILLED)


def test_cabinets_of_each_secret_log_in(fleet: Fleet) -> None:
    for name in CABINETS[:FILLED]:
        device_id = next(iter(fleet.deployment.cloud.secrets[name][-1]))
        assert lets_in(TlsClient(fleet.deployment, fleet.login(device_id)))


def test_no_password_is_on_the_screen(fleet: Fleet) -> None:
    screen = fleet.done.stdout + fleet.done.stderr
    assert "logins.json, which only you can read: 3,000." in screen
    assert not any(password in screen for password in fleet.passwords.values())


def test_more_cabinets_are_added_to_the_secret_with_room(fleet: Fleet, tmp_path: Path) -> None:
    before = [len(fleet.deployment.cloud.secrets[name]) for name in CABINETS]
    device_id = "K-new"
    assert add(fleet.deployment, [device_id], tmp_path / "new.json").returncode == 0
    after = [len(fleet.deployment.cloud.secrets[name]) for name in CABINETS]
    assert [one - two for one, two in zip(after, before, strict=True)] == [0, 0, 0, 0, 0, 1, 0, 0]


def test_only_the_revoked_ones_of_many_are_disconnected(
    fleet: Fleet, scene: Scene, tmp_path: Path
) -> None:
    revoked = ["K-0001", "K-2999"]
    devices = [scene.device(fleet.login(one)) for one in revoked]
    other = scene.device(fleet.login("K-0002"))
    file = tmp_path / "stolen.json"
    file.write_text(json.dumps(revoked))
    assert fleet.deployment.logins("revoke", "--from", str(file)).returncode == 0
    assert fleet.deployment.refresh().returncode == 0
    for device, device_id in zip(devices, revoked, strict=True):
        assert device.disconnected.wait(SECONDS)
        assert not lets_in(TlsClient(fleet.deployment, fleet.login(device_id)))
    assert not other.disconnected.is_set()


def test_a_revocation_names_the_devices_without_a_login_and_revokes_the_others(
    fleet: Fleet,
) -> None:
    done = fleet.deployment.logins("revoke", "K-0010", "K-typo")
    assert done.returncode == 2
    assert "Revoked: 1." in done.stderr
    assert "no login or certificate of K-typo" in done.stderr
    listed = fleet.deployment.logins("list").stdout.splitlines()
    assert "K-0010 password" not in listed
    assert "K-0011 password" in listed


def test_many_logins_without_a_file_for_their_passwords_are_refused(
    deployment: Deployment,
) -> None:
    done = deployment.logins("add", "D-1", "D-2")
    assert done.returncode == 2
    assert "2 logins need a file for their passwords: --handover FILE" in done.stderr


@pytest.mark.usefixtures("empty")
def test_a_lockbox_that_fails_after_some_secrets_loses_no_password(
    deployment: Deployment, tmp_path: Path
) -> None:
    handover = tmp_path / "logins.json"
    device_ids = [f"L-{number}" for number in range(700)]
    deployment.cloud.changes_until_broken = 1
    try:
        failed = add(deployment, device_ids, handover)
    finally:
        deployment.cloud.changes_until_broken, deployment.cloud.broken = None, False
    written = json.loads(handover.read_text())["logins"]
    assert failed.returncode == 2
    assert len(failed.stderr.splitlines()) == 1
    assert add(deployment, device_ids, handover).returncode == 0
    assert passwords_in(handover) == {one["username"]: one["password"] for one in written}
    stored = [one for name in CABINETS for one in (deployment.cloud.secrets[name] or [{}])[-1]]
    assert sorted({*stored} - {REVOKED}) == sorted(device_ids)


@pytest.mark.usefixtures("empty")
def test_a_fleet_that_does_not_fit_is_refused_and_nothing_is_stored(
    deployment: Deployment, tmp_path: Path
) -> None:
    device_ids = [f"L-{number}" for number in range(585 * len(CABINETS) + 1)]
    done = add(deployment, device_ids, tmp_path / "logins.json")
    assert done.returncode == 2
    assert "raise cabinet_login_secrets" in done.stderr
    assert not any(deployment.cloud.secrets[name] for name in CABINETS)
