"""Passwords are written to the hand-over, then stored; an interrupted command can be repeated."""

import csv
import json
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.passwords import matches
from tests.support.deployment import RECIPE
from tools import ToolError
from tools.logins.devices import Device
from tools.logins.handover import Handover
from tools.logins.issue import Action, Order, issue, without_login
from tools.logins.store import Connection

DEVICES = [Device("D-1", "C-1", "=Тверская 1 <b>"), Device("D-2"), Device("D-3")]
CONNECTION = Connection("mqtt.example.com", 8883, "fleet")


class Interrupted(Exception):
    """The store is interrupted."""


class MemoryStore:
    """Hashes in memory, stored one at a time; interrupted after some."""

    takes_effect = "now"

    def __init__(self) -> None:
        self.stored: dict[str, str] = {}
        self.interrupted_after: int | None = None

    def service(self) -> dict[str, str]:
        return {}

    def connection(self) -> Connection:
        return CONNECTION

    def hashes(self) -> dict[str, str]:
        return {**self.stored}

    def change(self, hashes: Mapping[str, str]) -> Iterator[list[str]]:
        for number, (device_id, hashed) in enumerate(hashes.items()):
            if number == self.interrupted_after:
                raise Interrupted
            self.stored[device_id] = hashed
            yield [device_id]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(params=["logins.csv", "logins.json", "logins.html"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A hand-over in each format."""
    return tmp_path / str(request.param)


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "logins.csv"


def order(
    file: Path, action: Action = "add", *, devices: list[Device] = DEVICES, force: bool = False
) -> Order:
    return Order(action=action, devices=devices, handover=file, is_forced=force)


def read(file: Path) -> Handover:
    found = Handover.read(file, CONNECTION)
    assert found is not None
    return found


def states(file: Path) -> list[str]:
    return [login.state for login in read(file).logins.values()]


def assert_valid(store: MemoryStore, file: Path) -> None:
    logins = read(file).logins
    assert logins.keys() == store.stored.keys()
    assert all(matches(login.password, store.stored[name]) for name, login in logins.items())
    assert {*states(file)} == {"valid"}


def interrupt(store: MemoryStore, file: Path, action: Action = "add") -> None:
    """Interrupt the command after one login."""
    store.interrupted_after = 1
    with pytest.raises(Interrupted):
        issue(store, order(file, action))
    store.interrupted_after = None


# --- The file -----------------------------------------------------------------


def test_the_hand_over_has_the_stored_passwords_for_its_owner_only(
    store: MemoryStore, file: Path
) -> None:
    issue(store, order(file))
    assert_valid(store, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [login.device for login in read(file).logins.values()] == DEVICES
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_the_passwords_are_in_the_file_before_any_is_stored(store: MemoryStore, file: Path) -> None:
    store.interrupted_after = 0
    with pytest.raises(Interrupted):
        issue(store, order(file))
    assert states(file) == ["pending"] * 3


def test_nothing_is_stored_if_the_file_cannot_be_written(
    store: MemoryStore, tmp_path: Path
) -> None:
    with pytest.raises(ToolError, match="cannot be written: No such file"):
        issue(store, order(tmp_path / "missing" / "logins.csv"))
    assert store.stored == {}


def test_the_csv_has_all_that_a_cabinet_needs_and_no_formula(
    store: MemoryStore, csv_file: Path
) -> None:
    issue(store, order(csv_file))
    first = next(csv.DictReader(csv_file.read_text().splitlines()))
    password = first.pop("password")
    assert matches(password, store.stored["D-1"])
    assert first == {
        "device_id": "D-1",
        "cabinet_id": "C-1",
        "address": "'=Тверская 1 <b>",
        "username": "D-1",
        "host": "mqtt.example.com",
        "port": "8883",
        "ca_sha256": "",
        "publish": "$devices/D-1/events",
        "subscribe": "$devices/D-1/commands",
        "subscribe_all": "$registries/fleet/commands",
        "state": "valid",
    }


def test_the_page_has_a_card_for_each_cabinet_and_no_external_resource(
    store: MemoryStore, tmp_path: Path
) -> None:
    file = tmp_path / "logins.html"
    issue(store, order(file))
    page = file.read_text()
    assert page.count("<article") == 3
    assert "Тверская 1 &lt;b&gt;" in page
    assert "<b>" not in page
    assert "http" not in page
    assert "NOT STORED" not in page


def test_the_page_says_which_cards_are_not_valid_yet(store: MemoryStore, tmp_path: Path) -> None:
    file = tmp_path / "logins.html"
    interrupt(store, file)
    page = file.read_text()
    assert "2 of these logins are not known to work" in page
    assert page.count("<strong>NOT STORED</strong>") == 2


def test_the_fingerprint_is_that_of_the_ca(tmp_path: Path) -> None:
    environment = {"PKI": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([RECIPE / "certificates", "authority"], env=environment, check=True)
    ca = tmp_path / "ca.pem"
    command = ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(ca)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    connection = Connection("host", 8883, "fleet", ca.read_text() + ca.read_text())
    assert connection.ca_sha256 == " ".join([printed.strip().partition("=")[2]] * 2)


# --- Again after an interruption ----------------------------------------------


@pytest.mark.parametrize("action", ["add", "rotate"])
def test_an_interrupted_command_is_completed_with_the_same_passwords(
    store: MemoryStore, file: Path, action: Action
) -> None:
    if action == "rotate":
        issue(store, order(file.with_stem("first")))
    interrupt(store, file, action)
    assert states(file) == ["valid", "pending", "pending"]
    before = {name: one.password for name, one in read(file).logins.items()}
    issue(store, order(file, action))
    assert_valid(store, file)
    assert {name: one.password for name, one in read(file).logins.items()} == before


def test_passwords_that_were_stored_but_not_marked_are_recognized(
    store: MemoryStore, csv_file: Path
) -> None:
    issue(store, order(csv_file))
    csv_file.write_text(csv_file.read_text().replace(",valid", ",pending"))
    stored = store.hashes()
    issue(store, order(csv_file))
    assert store.hashes() == stored
    assert_valid(store, csv_file)


def test_a_complete_command_can_be_repeated_and_changes_nothing(
    store: MemoryStore, file: Path
) -> None:
    issue(store, order(file))
    stored, text = store.hashes(), file.read_text()
    issue(store, order(file))
    assert (store.hashes(), file.read_text()) == (stored, text)


def test_a_complete_rotation_is_not_mistaken_for_an_interrupted_one(
    store: MemoryStore, csv_file: Path
) -> None:
    issue(store, order(csv_file))
    with pytest.raises(ToolError, match=r"logins\.csv is complete, and its passwords are valid"):
        issue(store, order(csv_file, "rotate"))


def test_a_lost_hand_over_is_replaced_by_a_rotation(store: MemoryStore, csv_file: Path) -> None:
    interrupt(store, csv_file)
    csv_file.unlink()
    remaining = without_login(store, DEVICES, csv_file)
    issue(store, order(csv_file, devices=remaining))
    rotated = csv_file.with_stem("rotated")
    issue(store, order(rotated, "rotate", devices=DEVICES[:1]))
    assert matches(read(rotated).logins["D-1"].password, store.stored["D-1"])
    assert [*read(csv_file).logins] == ["D-2", "D-3"]


def test_devices_of_an_interrupted_hand_over_are_not_left_out_as_existing(
    store: MemoryStore, csv_file: Path
) -> None:
    interrupt(store, csv_file)
    assert without_login(store, DEVICES, csv_file) == DEVICES


# --- Refused ------------------------------------------------------------------


def refusal(store: MemoryStore, wanted: Order) -> str:
    """Return why a command is refused, after a check that it changes nothing."""
    stored = store.hashes()
    text = wanted.handover.read_text() if wanted.handover and wanted.handover.exists() else None
    with pytest.raises(ToolError) as refused:
        issue(store, wanted)
    assert store.hashes() == stored
    if wanted.handover and text is not None:
        assert wanted.handover.read_text() == text
    return str(refused.value)


def test_a_login_that_exists_is_not_added(store: MemoryStore, csv_file: Path) -> None:
    issue(store, order(csv_file))
    other = order(csv_file.with_stem("other"), devices=[*DEVICES, Device("D-4")])
    assert "login exists already: D-1, D-2, D-3; replace it with `rotate`" in refusal(store, other)


def test_a_login_that_does_not_exist_is_not_rotated(store: MemoryStore, csv_file: Path) -> None:
    assert "no such login: D-1, D-2, D-3; create it" in refusal(store, order(csv_file, "rotate"))


def test_only_the_first_ids_are_named(store: MemoryStore, csv_file: Path) -> None:
    devices = [Device(f"D-{number}") for number in range(9)]
    wanted = order(csv_file, "rotate", devices=devices)
    assert "D-0, D-1, D-2, D-3, D-4 and 4 more;" in refusal(store, wanted)


def test_a_file_that_is_no_hand_over_is_not_replaced(store: MemoryStore, file: Path) -> None:
    file.write_text("device_id,notes\nD-1,mine\n")
    assert "exists and is not a hand-over" in refusal(store, order(file))


def test_the_hand_over_of_other_devices_is_not_replaced(store: MemoryStore, file: Path) -> None:
    issue(store, order(file))
    wanted = order(file, devices=[Device("D-9")])
    assert "is the hand-over of other devices: name another file" in refusal(store, wanted)


def test_a_revoked_password_does_not_return_from_an_old_hand_over(
    store: MemoryStore, csv_file: Path
) -> None:
    issue(store, order(csv_file))
    del store.stored["D-2"]
    assert "out of date, the login was changed since: D-2" in refusal(store, order(csv_file))


def test_a_password_that_somebody_else_has_set_is_not_replaced_by_a_pending_one(
    store: MemoryStore, csv_file: Path
) -> None:
    interrupt(store, csv_file)
    issue(store, order(csv_file.with_stem("other"), devices=DEVICES[1:]))
    assert "login exists already: D-2, D-3" in refusal(store, order(csv_file))


def test_force_replaces_the_file_but_no_login_that_exists(
    store: MemoryStore, csv_file: Path
) -> None:
    csv_file.write_text("mine")
    issue(store, order(csv_file, force=True))
    assert_valid(store, csv_file)
    assert "login exists already" in refusal(store, order(csv_file, force=True))


def test_the_json_has_the_broker_and_the_ca(store: MemoryStore, tmp_path: Path) -> None:
    file = tmp_path / "logins.json"
    issue(store, order(file))
    broker = json.loads(file.read_text())["broker"]
    expected = {"host": "mqtt.example.com", "port": 8883, "tls": False}
    assert {name: broker[name] for name in expected} == expected
    assert {*broker} == {*expected, "ca_sha256", "ca_pem"}
