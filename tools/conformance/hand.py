"""Whoever does what the kit cannot: closes doors, moves accumulators, switches the power."""

import select
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import Literal, Protocol

Result = Literal["done", "skipped", "not_done"]

REQUESTS = {
    "close": "Close the door of cell {cell}.",
    "take": "Take the accumulator out of cell {cell}, and leave the door open.",
    "insert": "Put an accumulator into cell {cell}, and leave the door open.",
    "power": "Switch the power of the cabinet off, wait for 5 seconds, and switch it on again.",
}
_LOOK_SECONDS = 0.1


class Hand(Protocol):
    """Does what is asked, and says whether it was done; `is_seen` says that messages show it."""

    is_there: bool

    def do(self, action: str, cell: int | None, is_seen: Callable[[float], bool]) -> Result:
        """Do an action of REQUESTS. `is_seen` waits for at most the seconds that it is given."""


class Nobody:
    """Does nothing: `--unattended`."""

    is_there = False

    def do(self, action: str, cell: int | None, is_seen: Callable[[float], bool]) -> Result:
        """Skip it."""
        del action, cell, is_seen
        return "skipped"


class Person:
    """Reads the request on the screen; Enter says that it is done, `s` and Enter skips it."""

    is_there = True

    def __init__(self, say: Callable[[str], None], *, seconds: float) -> None:
        self._say = say
        self._seconds = seconds

    def do(self, action: str, cell: int | None, is_seen: Callable[[float], bool]) -> Result:
        """Ask for it, and wait until it is seen, or for Enter, or until the time is over."""
        keys = "; then press Enter (s and Enter: skip)" if sys.stdin.isatty() else ""
        self._say(f"  >> {REQUESTS[action].format(cell=cell)} [{self._seconds:g} s{keys}]")
        left = self._seconds
        while left > 0:
            if is_seen(_LOOK_SECONDS):
                return "done"
            left -= _LOOK_SECONDS
            line = _typed()
            if line is not None:
                return "skipped" if line.strip().lower().startswith("s") else "done"
        return "not_done"


class Rig:
    """A program that is called with the action and the cell, and that returns 0 when it is done."""

    is_there = True

    def __init__(self, program: str, say: Callable[[str], None], *, seconds: float) -> None:
        self._program = shlex.split(program)
        self._say = say
        self._seconds = seconds

    def do(self, action: str, cell: int | None, is_seen: Callable[[float], bool]) -> Result:
        """Run the program."""
        del is_seen
        command = [*self._program, action, *([] if cell is None else [str(cell)])]
        self._say(f"  >> {REQUESTS[action].format(cell=cell)} ({shlex.join(command)})")
        try:
            done = subprocess.run(  # noqa: S603 - given by whoever runs the kit
                command, timeout=self._seconds, check=False, capture_output=True, text=True
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._say(f"     {error}")
            return "not_done"
        if done.returncode:
            self._say(f"     it failed ({done.returncode}): {done.stderr.strip()[-200:]}")
            return "not_done"
        return "done"


def _typed() -> str | None:
    """Return the line that was typed, if there is one."""
    if not sys.stdin.isatty() or not select.select([sys.stdin], [], [], 0)[0]:
        return None
    return sys.stdin.readline()
