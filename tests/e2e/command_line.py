"""`python -m local …` as a child process, with no settings but the test's own."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.settings import Settings as BridgeSettings
from shared.config import Settings
from tests import database
from tests.processes import ROOT

SHORT = {"UNLOCK_WAIT_SECONDS": "1.5", "BRIDGE_RETRY_MAX_SECONDS": "0.3"}
"""The settings of a local cloud for tests, unless a test has its own."""

_SETTINGS = {name.upper() for name in Settings.model_fields | BridgeSettings.model_fields}


def up(data_dir: Path, *options: str) -> list[str]:
    """The command that starts a local cloud, on free ports unless `options` says otherwise."""
    ports = ["--http-port", "0", "--mqtt-port", "0"]
    command = [sys.executable, "-m", "local", "up", *ports, "--data-dir", str(data_dir)]
    pooler = ["--pgbouncer"] if database.POOLED else []
    return [*command, *pooler, *options]


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m local …`, to its end."""
    return finish([sys.executable, "-m", "local", *arguments])


def finish(
    command: Sequence[str], settings: Mapping[str, str] = SHORT
) -> subprocess.CompletedProcess[str]:
    """A command, to its end, whatever that is."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with no settings but these."""
    ours = os.environ.items()  # noqa: TID251 - a child inherits it
    return {name: value for name, value in ours if name not in _SETTINGS} | {**settings}


def held_locks(data_dir: Path) -> list[Path]:
    """The locks of servers that still run: each of their processes holds it."""
    return [lock for lock in data_dir.glob("*/*.lock") if _is_held(lock)]


def _is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
