"""Fetch the console's third-party files with npm into console/vendor, which git ignores.

    python -m console.fetch [--optional]

package.json pins the packages; vendor.sha256 lists the wanted files of node_modules with their
SHA-256. Nothing is done if console/vendor has exactly these files. Without Node, npm comes from a
Python package, which is installed into this Python's environment.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

CONSOLE = Path(__file__).parent
_ATTEMPTS = 3
_OUTAGE = re.compile(
    r"ECONN|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|ERR_SOCKET|\b(429|50[0234])\b|onnection|timed out"
)
_NPM_OPTIONS = (
    *("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"),
    *("--no-update-notifier", "--fetch-retries=0", "--fetch-timeout=30000"),
)
_PIP_OPTIONS = ("--quiet", "--disable-pip-version-check", "--retries=0", "--timeout=30")
_SECONDS = 300


class FetchFailed(RuntimeError):
    """The files could not be fetched or are not the expected ones; the message says what to do."""


def fetch(console: Path = CONSOLE, *, attempts: int = _ATTEMPTS) -> bool:
    """Make `vendor` complete; return whether anything was fetched. Raises FetchFailed.

    `attempts`: how often to try while a registry cannot be reached.
    """
    if is_complete(console):
        return False
    lock = os.open(console, os.O_RDONLY)  # closing it releases the lock
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_complete(console):  # another process has fetched them
            return False
        with TemporaryDirectory(prefix="console-") as directory:
            staged = Path(directory)
            shutil.copy(console / "package.json", staged)
            _run([*_npm(attempts), "install", *_NPM_OPTIONS], staged, attempts)
            _copy(staged / "node_modules", console)
    finally:
        os.close(lock)
    return True


def is_complete(console: Path = CONSOLE) -> bool:
    """Return whether `vendor` has the files of vendor.sha256 and no others."""
    vendor = console / "vendor"
    found = {file.relative_to(vendor).as_posix() for file in vendor.rglob("*") if file.is_file()}
    expected = wanted(console)
    return found == set(expected) and all(
        _sha256(vendor / name) == expected[name] for name in found
    )


def wanted(console: Path) -> dict[str, str]:
    """Return the SHA-256 of each wanted file, by its path in node_modules."""
    lines = (console / "vendor.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _copy(packages: Path, console: Path) -> None:
    """Check all wanted files, then replace `vendor` by them."""
    files = wanted(console)
    for name, expected in files.items():
        if (got := _sha256(packages / name)) != expected:
            raise FetchFailed(
                f"{name}: expected SHA-256 {expected}, got {got}. If you have changed a version in"
                " console/package.json, review the new file and update console/vendor.sha256;"
                " otherwise the registry has delivered another file: do not use it"
            )
    vendor = console / "vendor"
    shutil.rmtree(vendor, ignore_errors=True)
    for name in files:
        (vendor / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(packages / name, vendor / name)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "no file"


def _npm(attempts: int) -> list[str]:
    """Return the command that runs npm; install a Python package that has it if there is none."""
    found = shutil.which("npm") if shutil.which("node") else None
    if found:
        return [found]
    npm = Path(sys.executable).with_name("npm")
    if not npm.exists():
        node = ("--require-hashes", "-r", str(CONSOLE / "requirements.txt"))
        _run([sys.executable, "-m", "pip", "install", *_PIP_OPTIONS, *node], None, attempts)
    return [str(npm)]


def _run(command: Sequence[str], directory: Path | None, attempts: int) -> None:
    """Run an installer, again after an outage. Raises FetchFailed."""
    output = ""
    for _ in range(attempts):
        succeeded, output = _attempt(command, directory)
        if succeeded:
            return
        if _OUTAGE.search(output) is None:
            raise FetchFailed(f"{Path(command[0]).name} failed: {output}")
    first_line = next(iter(output.splitlines()), "")
    raise FetchFailed(
        f"the package registry cannot be reached ({first_line}): connect this machine to its"
        " registry, or copy console/vendor from a machine where `make console` has worked"
    )


def _attempt(command: Sequence[str], directory: Path | None) -> tuple[bool, str]:
    """Return whether an installer succeeded, and its output."""
    inherited = dict(os.environ)  # noqa: TID251 - a child inherits it
    programs = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    try:
        done = subprocess.run(  # noqa: S603 - pip or npm
            command,
            cwd=directory,
            env={**inherited, "PATH": os.pathsep.join(programs)},  # for the node of npm
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return False, str(error)
    return done.returncode == 0, done.stdout.strip()


def _main() -> int:
    parser = argparse.ArgumentParser(description="Fetch the console's third-party files.")
    text = "try once; without the files, say so in one line and succeed"
    parser.add_argument("--optional", action="store_true", help=text)
    optional = parser.parse_args().optional
    try:
        if fetch(attempts=1 if optional else _ATTEMPTS):
            print("console: third-party files fetched into console/vendor")
    except FetchFailed as error:
        message = " ".join(str(error).split())
        print(
            f"without the console: {message}" if optional else f"console: {message}",
            file=sys.stderr,
        )
        return 0 if optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
