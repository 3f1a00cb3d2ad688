"""What all simulated cabinets share: a lock, a network, and a thread for scheduled calls."""

import logging
import sched
import threading
import time
from collections.abc import Callable

from local.cabinet.network import Network

_log = logging.getLogger(__name__)


class Runtime:
    """Hold `lock` to change a cabinet; call `on_change` with its id before sending its messages."""

    def __init__(self, on_change: Callable[[str], None] = lambda _: None) -> None:
        self.lock = threading.RLock()
        self.on_change = on_change
        self.network = Network()
        self._schedule = sched.scheduler(time.monotonic)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread for scheduled calls."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="cabinets-schedule", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and cancel the calls that are still scheduled."""
        self._stopping.set()
        self._wake.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        for event in self._schedule.queue:
            self._schedule.cancel(event)

    def call_later(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule a call."""
        self._schedule.enter(seconds, 0, self._call, (action,))
        self._wake.set()

    def call_every(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule repeated calls; the first comes after one interval."""

        def repeat() -> None:
            self.call_later(seconds, repeat)
            action()

        self.call_later(seconds, repeat)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(self._schedule.run(blocking=False))
            self._wake.clear()

    def _call(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # noqa: BLE001 - all cabinets share this thread: it must go on
            _log.exception("a scheduled call of a simulated cabinet failed")
