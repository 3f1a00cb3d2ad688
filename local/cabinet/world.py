"""What all simulated cabinets share: a lock, a network, a thread for later, a memory."""

import logging
import sched
import threading
import time
from collections.abc import Callable

from local.cabinet.network import Network

_log = logging.getLogger(__name__)


class World:
    """Hold `lock` to touch a cabinet; call `changed` with its id before anyone may know of it."""

    def __init__(self, changed: Callable[[str], None] = lambda _: None) -> None:
        self.lock = threading.RLock()
        self.changed = changed
        self.network = Network()
        self._schedule = sched.scheduler(time.monotonic)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Let time run."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="cabinets-later", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop time; what has not happened yet never will."""
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        for event in self._schedule.queue:
            self._schedule.cancel(event)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, once."""
        self._schedule.enter(seconds, 0, self._attempt, (action,))
        self._wake.set()

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something again and again, for the first time after one interval."""

        def again() -> None:
            self.after(seconds, again)
            action()

        self.after(seconds, again)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._schedule.run(blocking=False))
            self._wake.clear()

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - the thread is everyone's and must outlive it
            _log.exception("a simulated cabinet failed at something it had put off")
