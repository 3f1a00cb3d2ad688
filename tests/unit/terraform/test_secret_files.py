"""`make secrets` makes what is missing and keeps what exists."""

from pathlib import Path

import pytest

from shared.config import MIN_SECRET_LENGTH
from terraform import secret_files


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    secret_files.make_missing(tmp_path)
    before = contents(tmp_path)
    secret_files.make_missing(tmp_path)
    assert contents(tmp_path) == before


def test_an_upgrade_adds_the_webhooks_secret_and_keeps_the_others(tmp_path: Path) -> None:
    secret_files.make_missing(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "webhooks_secret").unlink()
    secret_files.make_missing(tmp_path)
    after = contents(tmp_path)
    assert len(after.pop("webhooks_secret")) >= MIN_SECRET_LENGTH
    assert after == {name: text for name, text in before.items() if name != "webhooks_secret"}


def test_an_upgrade_adds_the_passwords_of_the_limited_users_and_keeps_the_owners(
    tmp_path: Path,
) -> None:
    secret_files.make_missing(tmp_path)
    before = contents(tmp_path)
    for user in ("functions", "reader"):
        (tmp_path / secret_files.DATABASE_PASSWORDS[user]).unlink()
    secret_files.make_missing(tmp_path)
    assert contents(tmp_path).keys() == before.keys()
    assert contents(tmp_path)["database_password"] == before["database_password"]


@pytest.mark.parametrize("users", [["owner"], ["functions"], ["reader"], ["owner", "reader"], []])
def test_rotation_changes_the_passwords_of_the_named_users_or_of_all(
    tmp_path: Path, users: list[str]
) -> None:
    secret_files.make_missing(tmp_path)
    before = contents(tmp_path)
    secret_files.rotate_passwords(tmp_path, users)
    after = contents(tmp_path)
    named = users or [*secret_files.DATABASE_PASSWORDS]
    files = {secret_files.DATABASE_PASSWORDS[user] for user in named}
    assert {name for name in before if before[name] != after[name]} == files


def test_rotation_for_an_unknown_user_changes_nothing(tmp_path: Path) -> None:
    secret_files.make_missing(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(SystemExit, match="no database user service; use owner, functions, reader"):
        secret_files.rotate_passwords(tmp_path, ["owner", "service"])
    assert contents(tmp_path) == before


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    secret_files.make_missing(tmp_path)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_the_password_at_a_broker_of_ones_own_is_stored_as_it_is(tmp_path: Path) -> None:
    secret_files.store_mqtt_password(tmp_path, "bridge", "s3cret")
    assert contents(tmp_path) == {"mqtt_bridge_password": "s3cret"}
    assert (tmp_path / "mqtt_bridge_password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("password", ["", "two words", "line\n"])
def test_a_password_that_no_login_can_have_is_refused(tmp_path: Path, password: str) -> None:
    with pytest.raises(SystemExit, match="the password of service is empty or contains a space"):
        secret_files.store_mqtt_password(tmp_path, "service", password)
    assert contents(tmp_path) == {}
