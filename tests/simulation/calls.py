"""Function calls that take turns: each is a thread, and exactly one runs at a time.

The plan decides where a call pauses: between statements, before or after a commit, while it waits.
The same plan therefore always gives the same interleaving.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Point = Literal["begin", "statement", "ran", "commit", "committed", "publish", "published", "wait"]
Effect = Literal["kill", "cut"]
State = Literal["new", "paused", "waiting", "blocked", "done"]


class Killed(BaseException):
    """The platform killed the function."""


@dataclass(frozen=True)
class Fault:
    """A fault that strikes a call when it reaches a point for the nth time."""

    effect: Effect
    point: Point
    nth: int

    def __str__(self) -> str:
        nth = f" {self.nth}" if self.nth > 1 else ""
        return f"{'killed' if self.effect == 'kill' else 'connection cut'} at {self.point}{nth}"


@dataclass(frozen=True)
class Disruption:
    """Where a call pauses, and which fault strikes it.

    `pauses`: at the nth points that the call reaches. `pause_at`: at the nth point of one kind.
    """

    pauses: tuple[int, ...] = ()
    pause_at: tuple[Point, int] | None = None
    fault: Fault | None = None


@dataclass(eq=False)
class Call:
    """One function call."""

    name: str
    work: Callable[[], Any]
    disruption: Disruption
    on_end: "Callable[[Call], object]"
    on_commit: Callable[[], object] = lambda: None
    """Called after each commit, on the call's own thread."""
    state: State = "new"
    result: Any = None
    error: BaseException | None = None
    struck_by: Fault | None = None
    started_at: float = 0.0
    commits: int = 0
    deadlocked: bool = False
    _reached: int = 0
    _killed: bool = False
    _counts: Counter[Point] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    @property
    def failed(self) -> bool:
        """Whether the call ended with an exception."""
        return self.error is not None

    def resume(self) -> None:
        """Run the call until it stops again or ends."""
        if self.state == "new":
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self.state == "done":
            self._thread.join()
            self.on_end(self)

    def stop(self, state: State) -> None:
        """Stop, on the call's own thread, until `resume`."""
        self.state = state
        self._back.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def reach(self, point: Point) -> bool:
        """Record, on the call's own thread, that it reached a point; pause or fail as planned.

        Return whether the connection is cut here.
        """
        self._reached += 1
        if self.strike(point):
            return True
        named = (point, self._counts[point]) == self.disruption.pause_at
        if named or self._reached in self.disruption.pauses:
            self.stop("paused")
        return False

    def strike(self, point: Point) -> bool:
        """Record that the call reached a point; fail as planned, but do not pause."""
        self._counts[point] += 1
        fault = self.disruption.fault
        if fault is None or (fault.point, fault.nth) != (point, self._counts[point]):
            return False
        self.struck_by = fault
        if fault.effect == "kill":
            raise Killed
        return True

    def kill(self) -> None:
        """End the call where it has stopped."""
        self._killed = True
        self.resume()

    def clear_disruption(self) -> None:
        """Let the call run on without pauses and faults."""
        self.disruption = Disruption()

    def _run(self) -> None:
        self._go.acquire()
        _current.call = self
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - any exception is the outcome
            self.error = error
        self.state = "done"
        self._back.release()


_current = threading.local()


def current() -> Call:
    """Return the call that runs on this thread."""
    call: Call = _current.call
    return call
