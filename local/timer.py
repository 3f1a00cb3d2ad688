"""The timer trigger: invokes its function at a fixed interval, with the cloud's event."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from shared import log


class Timer:
    """Calls `fire` with a timer event at a fixed interval; a failed call does not stop it."""

    def __init__(self, seconds: float, fire: Callable[[dict[str, Any]], object]) -> None:
        self._seconds = seconds
        self._fire = fire
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="timer", daemon=True)

    def start(self) -> None:
        """Start; the first event comes after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """Stop. Wait for a running call for a second at most."""
        self._stopping.set()
        self._thread.join(1)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._fire(timer_event())
            except Exception:  # noqa: BLE001 - a failed function does not stop the trigger
                log.error("timer invocation failed")


def timer_event() -> dict[str, Any]:
    """Return an event of the timer trigger."""
    return {
        "messages": [
            {
                "event_metadata": {
                    "event_id": uuid4().hex,
                    "event_type": "yandex.cloud.events.serverless.triggers.TimerMessage",
                    "created_at": datetime.now(UTC).isoformat(),
                    "cloud_id": "local",
                    "folder_id": "local",
                },
                "details": {"trigger_id": "local", "payload": ""},
            }
        ]
    }
