"""Function calls that take turns: each is a thread, and exactly one runs at a time.

A call stops where the schedule wants it to (between statements, around a commit, while it waits),
so that every interleaving of calls can be had, again and again.
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
    """The platform ended the function: nothing of it runs any more."""


@dataclass(frozen=True)
class Fault:
    """What befalls a call when it comes to a point for the nth time."""

    effect: Effect
    point: Point
    nth: int

    def __str__(self) -> str:
        nth = f" {self.nth}" if self.nth > 1 else ""
        return f"{'killed' if self.effect == 'kill' else 'connection cut'} at {self.point}{nth}"


@dataclass(frozen=True)
class Course:
    """How a call goes: where it stops for a while (the nth point, the nth of a kind), and what
    goes wrong."""

    pauses: tuple[int, ...] = ()
    pause_at: tuple[Point, int] | None = None
    fault: Fault | None = None


@dataclass(eq=False)
class Call:
    """One function call."""

    name: str
    work: Callable[[], Any]
    course: Course
    done: "Callable[[Call], object]"
    committed: Callable[[], object] = lambda: None
    """Told of each commit, on the call's own thread."""
    state: State = "new"
    result: Any = None
    error: BaseException | None = None
    suffered: Fault | None = None
    began: float = 0.0
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
        """Whether it ended by an exception."""
        return self.error is not None

    def go(self) -> None:
        """Let it run until it stops again."""
        if self.state == "new":
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self.state == "done":
            self._thread.join()
            self.done(self)

    def stop(self, state: State) -> None:
        """On the call's own thread: give the turn away."""
        self.state = state
        self._back.release()
        self._go.acquire()
        if self._killed:
            raise Killed

    def reach(self, point: Point) -> bool:
        """On the call's own thread: it has come to a point; True if the connection is cut here."""
        self._reached += 1
        if self.suffer(point):
            return True
        named = (point, self._counts[point]) == self.course.pause_at
        if named or self._reached in self.course.pauses:
            self.stop("paused")
        return False

    def suffer(self, point: Point) -> bool:
        """The same where it does not stop: after a statement that was no part of a transaction."""
        self._counts[point] += 1
        fault = self.course.fault
        if fault is None or (fault.point, fault.nth) != (point, self._counts[point]):
            return False
        self.suffered = fault
        if fault.effect == "kill":
            raise Killed
        return True

    def kill(self) -> None:
        """End it wherever it has stopped."""
        self._killed = True
        self.go()

    def let_be(self) -> None:
        """No more pauses and faults: all is well from now on."""
        self.course = Course()

    def _run(self) -> None:
        self._go.acquire()
        _current.call = self
        try:
            self.result = self.work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the outcome
            self.error = error
        self.state = "done"
        self._back.release()


_current = threading.local()


def current() -> Call:
    """The call whose thread this is."""
    call: Call = _current.call
    return call
