"""Progress of long work, on standard error: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

_SECONDS_BETWEEN_LINES = 5.0


class Lines:
    """Prints a line every few seconds, for a log."""

    def __init__(self, label: str, total: int | None, stream: TextIO) -> None:
        self.done = 0
        self._label = label
        self._of = f" of {total:,}" if total is not None else ""
        self._stream = stream
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES

    def add(self, count: int) -> None:
        """Count what is done."""
        self.done += count
        if time.monotonic() >= self._next_line:
            self.say(f"{self._label}: {self.done:,}{self._of}")
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, file=self._stream, flush=True)


class Bar:
    """Draws a bar, for a terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.done = 0
        self._progress = progress
        self._task = task

    def add(self, count: int) -> None:
        """Count what is done."""
        self.done += count
        self._progress.update(self._task, completed=self.done)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, markup=False, highlight=False)


@contextmanager
def counting(
    label: str, total: int | None = None, stream: TextIO | None = None
) -> Iterator[Lines | Bar]:
    """Show the progress of what is done within. `total`: None if it is not known."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield Lines(label, total, stream)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}") if total is None else MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as progress:
        yield Bar(progress, progress.add_task(label, total=total))
