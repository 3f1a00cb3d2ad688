"""Run `python -m local …` as a child process, with only the settings of the test."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.settings import Settings as BridgeSettings
from shared.config import Settings
from tests.support import database
from tests.support.processes import ROOT

SHORT_WAITS = {"UNLOCK_WAIT_SECONDS": "1.5", "BRIDGE_RETRY_MAX_SECONDS": "0.3"}
"""Settings of a local cloud for tests; a test may use others."""

_SETTINGS = {name.upper() for name in Settings.model_fields | BridgeSettings.model_fields}
_SETTINGS |= {"CONSOLE_TILES_URL"}


def up(data_dir: Path, *options: str) -> list[str]:
    """Return the command that starts a local cloud, on free ports unless `options` sets them."""
    ports = ["--http-port", "0", "--mqtt-port", "0"]
    command = [sys.executable, "-m", "local", "up", *ports, "--data-dir", str(data_dir)]
    pooler = ["--pgbouncer"] if database.POOLED else []
    return [*command, *pooler, *options]


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local …` to its end."""
    return run([sys.executable, "-m", "local", *arguments])


def run(
    command: Sequence[str], settings: Mapping[str, str] = SHORT_WAITS
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with only these settings."""
    inherited = os.environ.items()  # noqa: TID251 - a child inherits it
    return {name: value for name, value in inherited if name not in _SETTINGS} | {**settings}


def held_locks(data_dir: Path) -> list[Path]:
    """Return the lock files of servers that still run; each of their processes holds the lock."""
    return [lock for lock in data_dir.glob("*/*.lock") if _is_held(lock)]


def _is_held(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
