"""Progress of long work, on standard error: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_LINES = 5.0


class Counter:
    """Counts what is done, and shows it."""

    def __init__(self, label: str, total: int | None, stream: TextIO) -> None:
        self.done = 0
        self._label = label
        self._of = f" of {total:,}" if total is not None else ""
        self._stream = stream
        self._bar: Progress | None = None
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        if stream.isatty():
            amount = MofNCompleteColumn() if total else TextColumn("{task.completed:,}")
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                amount,
                TimeElapsedColumn(),
                console=Console(file=stream),
            )
            self._task = self._bar.add_task(label, total=total)

    def add(self, count: int) -> None:
        """Count more."""
        self.done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
        elif time.monotonic() >= self._next_line:
            self.say(f"{self._label}: {self.done:,}{self._of}")
            self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES

    def say(self, line: str) -> None:
        """Print a line, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self._stream, flush=True)


@contextmanager
def counting(
    label: str, total: int | None = None, stream: TextIO | None = None
) -> Iterator[Counter]:
    """Show the progress of what is done within. `total`: None if it is not known."""
    counter = Counter(label, total, stream or sys.stderr)
    if counter._bar is None:  # noqa: SLF001 - its own module
        yield counter
        return
    with counter._bar:  # noqa: SLF001 - its own module
        yield counter
