"""What a benchmark gives: figures beside their floor, peer and goal, and tables."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tabulate import tabulate


@dataclass(frozen=True)
class Figure:
    """One line of the table. Floor and peer were measured in the same run, in the same unit."""

    work: str
    ours: float
    unit: str
    floor: float | None = None
    peer: float | None = None
    goal: str = ""
    met: bool | None = None
    """None: there is no goal."""
    note: str = ""
    COLUMNS: ClassVar = ("work", "ours", "floor", "peer", "goal", "met", "note")

    @property
    def cells(self) -> list[str]:
        """As a row of the table: each ratio is ours to the other."""
        met = "" if self.met is None else ("yes" if self.met else "no")
        return [
            self.work,
            f"{readable(self.ours)} {self.unit}".strip(),
            *(self._beside(other) for other in (self.floor, self.peer)),
            self.goal,
            met,
            self.note,
        ]

    def _beside(self, other: float | None) -> str:
        if other is None:
            return ""
        ratio = f" ({self.ours / other:.2f} x)" if other else ""
        return f"{readable(other)}{ratio}"


@dataclass(frozen=True)
class Table:
    """Figures that have no floor, peer or goal."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""

    def __str__(self) -> str:
        text = tabulate(self.rows, self.headers, tablefmt="pipe", disable_numparse=True)
        return f"{self.caption}\n\n{text}" if self.caption else text


@dataclass(frozen=True)
class Measured:
    """A benchmark's outcome."""

    how: str
    """What ran, how often, and what the floor and the peer are."""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = field(default=())

    def __str__(self) -> str:
        headers = Figure.COLUMNS
        rows = [figure.cells for figure in self.figures]
        used = [i for i in range(len(headers)) if any(row[i] for row in rows)]
        shown = Table([headers[i] for i in used], [[row[i] for i in used] for row in rows])
        return "\n\n".join([self.how, *([str(shown)] if rows else []), *map(str, self.tables)])


def readable(number: float) -> str:
    """Three digits that mean something; thousands apart."""
    if abs(number) >= 100:  # noqa: PLR2004 - more digits than these mean nothing
        return f"{number:,.0f}"
    return f"{number:.3g}"


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of them do not exceed: one that was measured, none in between."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
