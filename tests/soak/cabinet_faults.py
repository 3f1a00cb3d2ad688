"""Cabinets that reply late, twice or not at all: a few at a time, each for a while."""

import random
import threading
from typing import Any, Self

from local.cabinet.control import Control
from tests.soak.plan import Plan

_REPLIES: tuple[dict[str, Any], ...] = (
    {"how": "late", "seconds": 3},
    {"how": "late", "seconds": 20},  # longer than an unlock waits
    {"how": "never"},
    {"how": "deaf"},
    {"how": "twice"},
)


class CabinetFaults:
    """Makes some cabinets faulty, one after another, and repairs all at the end.

    C-001 is never faulty: the lag of the bridge is measured with it.
    """

    def __init__(self, control: Control, plan: Plan) -> None:
        self._control = control
        self._rng = random.Random(f"{plan.seed}/faults")  # noqa: S311 - not a secret
        self._ids = [f"C-{number:03}" for number in range(2, plan.cabinets + 1)]
        self._max_faulty = max(1, round(plan.faulty_share * plan.cabinets))
        self._pause = plan.faulty_seconds / self._max_faulty
        self._faulty: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cabinet faults")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        while self._faulty:
            self._repair()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause):
            cabinet_id = self._rng.choice(self._ids)
            if cabinet_id not in self._faulty:
                self._control.act(cabinet_id, "answer", **self._rng.choice(_REPLIES))
                self._faulty.append(cabinet_id)
            if len(self._faulty) > self._max_faulty:
                self._repair()

    def _repair(self) -> None:
        self._control.act(self._faulty.pop(0), "answer", how="normal")
