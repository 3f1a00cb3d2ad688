"""Child processes that a test kills, and ports."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def another_python(script: str, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process that runs `script`, and the first line that it prints; killed afterwards.

    Its standard input closes when this process ends.
    """
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def is_free(port: int) -> bool:
    """Whether no process listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
