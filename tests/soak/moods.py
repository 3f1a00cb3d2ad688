"""Cabinets that answer late, twice or not at all, for a while each; then others do."""

import random
import threading
from typing import Any

from local.cabinet.control import Control

_MOODS: tuple[dict[str, Any], ...] = (
    {"how": "late", "seconds": 3},
    {"how": "late", "seconds": 20},  # longer than an unlock waits
    {"how": "never"},
    {"how": "deaf"},
    {"how": "twice"},
)


class Moods:
    """Spoils some cabinets, one after another, until it is stopped; then all are well again.

    C-001 is always well: it is what the lag of the bridge is measured with.
    """

    def __init__(
        self, control: Control, *, cabinets: int, share: float, seconds: float, seed: int
    ) -> None:
        """Spoil this share of the cabinets at any time, each for so long."""
        self._control = control
        self._rng = random.Random(f"{seed}/moods")  # noqa: S311 not a secret
        self._ids = [f"C-{number:03}" for number in range(2, cabinets + 1)]
        self._most = max(1, round(share * cabinets))
        self._seconds = seconds
        self._spoilt: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="moods")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Mend all."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        while self._spoilt:
            self._mend()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds / self._most):
            cabinet_id = self._rng.choice(self._ids)
            if cabinet_id not in self._spoilt:
                self._control.act(cabinet_id, "answer", **self._rng.choice(_MOODS))
                self._spoilt.append(cabinet_id)
            if len(self._spoilt) > self._most:
                self._mend()

    def _mend(self) -> None:
        self._control.act(self._spoilt.pop(0), "answer", how="normal")
