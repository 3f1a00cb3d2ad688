"""A small file system for a database, which a test can fill."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SPARE_BYTES = 48 * 2**20


class SmallDisk:
    """A file system with a server's data."""

    def __init__(self, directory: Path) -> None:
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Take all free space."""
        with self._ballast.open("wb") as file:
            free = shutil.disk_usage(self._ballast.parent).free
            os.posix_fallocate(file.fileno(), 0, free)

    def free(self) -> None:
        """Release the space."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def moved_to_small_disk(data: Path) -> Iterator[SmallDisk]:
    """Move a stopped server's data to a file system with little more space than it needs."""
    aside = data.with_name("aside")
    data.rename(aside)
    data.mkdir()
    used = sum(file.stat().st_blocks * 512 for file in aside.rglob("*"))
    size = f"size={used + _SPARE_BYTES}"
    if os.geteuid() or not _run("mount", "-t", "tmpfs", "-o", size, "none", data):
        pytest.skip("mounting a file system needs root, and may be forbidden even then")
    try:
        _run("cp", "-a", f"{aside}/.", data)
        yield SmallDisk(data)
    finally:
        _run("umount", "--lazy", data)


def _run(program: str, *arguments: object) -> bool:
    """Run a program; return whether it succeeded."""
    command = [shutil.which(program) or program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
