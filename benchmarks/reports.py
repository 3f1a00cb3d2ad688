"""State reports as cabinets send them after a poll, with a given share of changed cells."""

import random
from collections.abc import Iterable
from dataclasses import replace

from benchmarks.service import Message, Service, record
from local.cabinet.cells import Cell
from local.cabinet.hardware import Hardware


class Reports:
    """Makes reports; each has its cabinet's next sequence number and the id of the last poll."""

    def __init__(self, service: Service) -> None:
        self._cabinets = service.cabinets
        self._rng = random.Random(1)  # noqa: S311 - a simulation
        self._asked = service.poll()["command_id"]

    def batch(self, numbers: Iterable[int], *, changed: float = 0.1) -> list[Message]:
        """One report from each cabinet; the share `changed` of all cells has a new charge."""
        return [record(f"C-{n}", self._report(self._cabinets[n], changed)) for n in numbers]

    def _report(self, cabinet: Hardware, changed: float) -> Message:
        occupied = [cell for cell in cabinet.cells.values() if cell.accumulator]
        share = changed * len(cabinet.cells) / len(occupied)
        for cell in occupied:
            if self._rng.random() < share:
                _charge(cell)
        return cabinet.state_report(self._asked)


def _charge(cell: Cell) -> None:
    if cell.accumulator is not None:
        charge = ((cell.accumulator.battery_charge or 0) + 1) % 100
        cell.accumulator = replace(cell.accumulator, battery_charge=charge)
