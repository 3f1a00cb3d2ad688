"""Cabinets that answer late, twice or not at all, for a while each; then others do."""

import random
import threading
from typing import Any, Self

from local.cabinet.control import Control
from tests.soak.plan import Plan

_MOODS: tuple[dict[str, Any], ...] = (
    {"how": "late", "seconds": 3},
    {"how": "late", "seconds": 20},  # longer than an unlock waits
    {"how": "never"},
    {"how": "deaf"},
    {"how": "twice"},
)


class Moods:
    """Spoils some cabinets, one after another; at the end all are well again.

    C-001 is always well: it is what the lag of the bridge is measured with.
    """

    def __init__(self, control: Control, plan: Plan) -> None:
        self._control = control
        self._rng = random.Random(f"{plan.seed}/moods")  # noqa: S311 - not a secret
        self._ids = [f"C-{number:03}" for number in range(2, plan.cabinets + 1)]
        self._most = max(1, round(plan.spoilt_share * plan.cabinets))
        self._pause = plan.spoilt_seconds / self._most
        self._spoilt: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="moods")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        while self._spoilt:
            self._mend()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            cabinet_id = self._rng.choice(self._ids)
            if cabinet_id not in self._spoilt:
                self._control.act(cabinet_id, "answer", **self._rng.choice(_MOODS))
                self._spoilt.append(cabinet_id)
            if len(self._spoilt) > self._most:
                self._mend()

    def _mend(self) -> None:
        self._control.act(self._spoilt.pop(0), "answer", how="normal")
