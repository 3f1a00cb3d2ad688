"""The timer trigger: invokes its function again and again, with the cloud's event."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from shared import log


class Timer:
    """Calls `fire` with a timer event every so many seconds, whatever becomes of the calls."""

    def __init__(self, seconds: float, fire: Callable[[dict[str, Any]], object]) -> None:
        self._seconds = seconds
        self._fire = fire
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="timer", daemon=True)

    def start(self) -> None:
        """Let time run; the first event comes after one interval."""
        self._thread.start()

    def stop(self) -> None:
        """Fire no more. A call under way is given a second, then left alone."""
        self._stopping.set()
        self._thread.join(1)

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._fire(timer_event())
            except Exception:  # noqa: BLE001 - the trigger goes on whatever the function does
                log.error("the timer's function failed")


def timer_event() -> dict[str, Any]:
    """What the timer trigger hands to its function."""
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
