"""Fetching the console's third-party files: with a program that acts as npm, no registry."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from console import fetch
from tests.support.processes import ROOT

FILE = "preact/dist/preact.mjs"
CONTENT = "export const h = 1;\n"

Npm = Callable[[str], Path]


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A console with one wanted file, which is not fetched yet."""
    folder = tmp_path / "console"
    folder.mkdir()
    (folder / "package.json").write_text("{}")
    digest = hashlib.sha256(CONTENT.encode()).hexdigest()
    (folder / "vendor.sha256").write_text(f"{digest}  {FILE}\n")
    return folder


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """Installs a program as npm; returns the file to which it adds a line for each call."""

    def install(script: str) -> Path:
        calls = tmp_path / "calls"
        calls.touch()
        programs = tmp_path / "bin"
        programs.mkdir()
        for name in ("node", "npm"):
            (programs / name).write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{script}\n')
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        return calls

    return install


def delivers(content: str) -> str:
    """Return a script that installs the wanted file with this content, and a file more."""
    folder = "node_modules/preact/dist"
    return f"mkdir -p {folder} && printf '%s' '{content}' >{folder}/preact.mjs && touch {folder}/b"


def test_the_wanted_files_are_fetched_once(console: Path, npm: Npm) -> None:
    calls = npm(delivers(CONTENT))

    assert [fetch.fetch(console), fetch.fetch(console)] == [True, False]
    assert (console / "vendor" / FILE).read_text() == CONTENT
    assert [file for file in (console / "vendor").rglob("*") if file.is_file()] == [
        console / "vendor" / FILE
    ]
    assert len(calls.read_text().splitlines()) == 1
    assert "--ignore-scripts" in calls.read_text()
    assert not (console / "node_modules").exists()


@pytest.mark.parametrize("damage", ["changed", "missing", "added"])
def test_files_that_differ_are_fetched_again(console: Path, npm: Npm, damage: str) -> None:
    npm(delivers(CONTENT))
    fetch.fetch(console)
    file = console / "vendor" / FILE
    if damage == "missing":
        file.unlink()
    else:
        (file if damage == "changed" else file.with_name("old.mjs")).write_text("1;\n")

    assert fetch.fetch(console)
    assert fetch.is_complete(console)


def test_a_file_with_another_checksum_is_refused_with_both(console: Path, npm: Npm) -> None:
    npm(delivers("export const h = 2;\n"))
    expected, got = (hashlib.sha256(f"export const h = {n};\n".encode()) for n in (1, 2))
    message = f"{FILE}: expected SHA-256 {expected.hexdigest()}, got {got.hexdigest()}. If you"

    with pytest.raises(fetch.FetchFailed) as caught:
        fetch.fetch(console)

    assert str(caught.value).startswith(message)
    assert not (console / "vendor").exists()


def test_a_file_that_the_package_does_not_have_is_named(console: Path, npm: Npm) -> None:
    npm("mkdir node_modules")

    with pytest.raises(fetch.FetchFailed, match=rf"^{FILE}: .* got no file"):
        fetch.fetch(console)


def test_an_outage_is_retried_and_the_error_says_what_to_do(console: Path, npm: Npm) -> None:
    calls = npm("echo 'npm error code ENOTFOUND'; exit 1")

    with pytest.raises(fetch.FetchFailed, match=r"ENOTFOUND\): connect this machine .* or copy"):
        fetch.fetch(console, attempts=2)

    assert len(calls.read_text().splitlines()) == 2


def test_another_failure_is_not_retried(console: Path, npm: Npm) -> None:
    calls = npm("echo 'npm error code ETARGET'; exit 1")

    with pytest.raises(fetch.FetchFailed, match="npm failed: npm error code ETARGET"):
        fetch.fetch(console)

    assert len(calls.read_text().splitlines()) == 1


def test_the_checked_types_are_of_the_fetched_versions() -> None:
    fetched = json.loads((fetch.CONSOLE / "package.json").read_text())["dependencies"]
    checked = json.loads((ROOT / "tests" / "contract" / "package.json").read_text())["dependencies"]

    assert {name: checked[name] for name in fetched if name != "leaflet"} == {
        name: version for name, version in fetched.items() if name != "leaflet"
    }
    assert checked["@types/leaflet"].rpartition(".")[0] == fetched["leaflet"].rpartition(".")[0]


def test_every_version_is_exact_and_every_package_has_its_licence_beside_it() -> None:
    fetched = json.loads((fetch.CONSOLE / "package.json").read_text())["dependencies"]
    wanted = (fetch.CONSOLE / "vendor.sha256").read_text()

    assert all(version.replace(".", "").isdigit() for version in fetched.values())
    assert all(f"  {name}/LICENSE\n" in wanted for name in fetched)
