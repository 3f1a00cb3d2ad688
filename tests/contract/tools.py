"""Installs the tools, with pinned versions, into a folder that git ignores."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.command_line import environment
from tests.support.processes import ROOT

HERE = Path(__file__).parent
FOLDER = ROOT / ".contract"
_ATTEMPTS = 3
_OUTAGE = re.compile(
    r"ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ERR_SOCKET|\b(429|50[0234])\b|onnection|timed out"
)
_QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


class Failed(RuntimeError):
    """A tool failed; the message is its output."""


class NotInstalled(RuntimeError):
    """A registry could not be reached in several attempts; the message is the last error."""


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [program for program in ("node", "npm") if shutil.which(program) is None]


def node_modules() -> Path:
    """Install the packages of package.json; return their folder."""
    wanted = (HERE / "package.json").read_text()
    installed = FOLDER / "package.json"
    if not installed.exists() or installed.read_text() != wanted:
        shutil.rmtree(FOLDER / "node_modules", ignore_errors=True)
        FOLDER.mkdir(exist_ok=True)
        staged = FOLDER / "staged"
        staged.mkdir(exist_ok=True)
        (staged / "package.json").write_text(wanted)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        _install(["npm", "install", *options], staged)
        (staged / "node_modules").rename(FOLDER / "node_modules")
        (staged / "package.json").rename(installed)
        staged.rmdir()
    return FOLDER / "node_modules"


def python() -> Path:
    """Install requirements.txt into a separate environment; return its interpreter."""
    wanted = HERE / "requirements.txt"
    installed = FOLDER / "requirements.txt"
    interpreter = FOLDER / "venv" / "bin" / "python"
    if not installed.exists() or installed.read_text() != wanted.read_text():
        FOLDER.mkdir(exist_ok=True)
        run([sys.executable, "-m", "venv", "--clear", "venv"], FOLDER)
        options = ["--quiet", "--disable-pip-version-check"]
        _install([interpreter, "-m", "pip", "install", *options, "-r", wanted], FOLDER)
        shutil.copy(wanted, installed)
    return interpreter


def _install(command: Sequence[str | Path], directory: Path) -> None:
    """Run an installer. Raises NotInstalled if its registry cannot be reached, else Failed."""
    failures = []
    for _ in range(_ATTEMPTS):
        try:
            run(command, directory)
        except (Failed, subprocess.TimeoutExpired) as error:
            failures.append(str(error).strip())
            if _OUTAGE.search(failures[-1]) is None:
                raise
        else:
            return
    first_lines = " ".join(failures[-1].splitlines()[:2])
    raise NotInstalled(f"{Path(command[0]).name} failed {_ATTEMPTS} times: {first_lines}")


def run(
    command: Sequence[str | Path], directory: Path, settings: Mapping[str, str] | None = None
) -> str:
    """Run a command in a directory; return its output. Raises Failed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env=environment({**_QUIET, **(settings or {})}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise Failed(done.stdout)
    return done.stdout
