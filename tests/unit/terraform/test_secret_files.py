"""`make secrets` makes what is missing and keeps what exists."""

from pathlib import Path

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


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    secret_files.make_missing(tmp_path)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
