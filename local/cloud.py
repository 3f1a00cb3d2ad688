"""`python -m local cloud`: keeps the fake in local/yandex_cloud up, and shows what is in it."""

# ruff: noqa: PLC0415 - the fake's many modules are imported late, so that errors come at once

import fcntl
import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from local import CannotStart, signals
from local.children import check_is_free, make_directory

if TYPE_CHECKING:
    from local.yandex_cloud import YandexCloud

_RUNNING = "running.json"
_STATE = "state.sqlite3"


def run(directory: Path, port: int) -> None:
    """Serve what the directory holds until Ctrl-C. Raises CannotStart."""
    make_directory(directory)
    for used in (port, port + 1) if port else ():
        check_is_free(used, "--port")
    with _lock(directory):
        from local.yandex_cloud import YandexCloud

        with YandexCloud(directory, port=port) as cloud:
            _wait(cloud)


def _wait(cloud: "YandexCloud") -> None:
    """Tell Terraform's users where the cloud is, and wait for Ctrl-C."""
    from local.yandex_cloud.listing import resources

    environment = cloud.environment()
    running = cloud.directory / _RUNNING
    try:
        running.write_text(json.dumps({"environment": environment, "pid": os.getpid()}))
        count = len(resources(cloud.state))
        _print([*exports(environment), *_help(cloud.directory, count)])
        signal.pause()
    except KeyboardInterrupt:
        signals.ignore()
        _print(["# stopping"])
    finally:
        running.unlink(missing_ok=True)


def environment_of(directory: Path) -> dict[str, str]:
    """Return the variables for Terraform of the fake that runs with a directory.

    Raises CannotStart if none does.
    """
    try:
        running = json.loads((directory / _RUNNING).read_text())
        os.kill(running["pid"], 0)
    except (OSError, ValueError):
        message = f"no cloud runs with {directory}: start one with python -m local cloud"
        raise CannotStart(message) from None
    environment: dict[str, str] = running["environment"]
    return environment


def exports(environment: dict[str, str]) -> list[str]:
    """Return the lines with which a shell sets the variables."""
    return [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]


def listing(directory: Path) -> list[str]:
    """Return what the cloud in a directory has, running or not. Raises CannotStart."""
    if not (directory / _STATE).exists():
        raise CannotStart(f"there is no cloud in {directory}: start one with python -m local cloud")
    from local.yandex_cloud.listing import lines
    from local.yandex_cloud.state import State

    state = State(directory / _STATE)
    try:
        return lines(state)
    finally:
        state.close()


def _help(directory: Path, count: int) -> list[str]:
    option = f" --data-dir {shlex.quote(str(directory))}"
    return [
        f"# {count} resources in {directory}. In another terminal:",
        f'#   eval "$(python -m local cloud --environment{option})"',
        "#   terraform -chdir=terraform init && terraform -chdir=terraform apply",
        f"#   python -m local cloud --list{option}",
        "# Ctrl-C stops it; what is in it stays.",
    ]


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Keep other processes from the directory. Raises CannotStart."""
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another cloud runs with {directory}: stop it, or choose another --data-dir"
            raise CannotStart(message) from None
        yield


def _print(text: list[str]) -> None:
    with suppress(BrokenPipeError):  # the reader has closed the pipe
        print("\n".join(text), file=sys.stdout, flush=True)
