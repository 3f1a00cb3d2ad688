"""Results of a benchmark: figures with their baseline, reference and goal, and tables."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from tabulate import tabulate


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    The baseline is the least that any implementation needs; the reference is what a reference
    implementation needs. Both are measured in the same run, in the same unit.
    """

    work: str
    ours: float
    unit: str
    baseline: float | None = None
    reference: float | None = None
    goal: str = ""
    met: bool | None = None
    """None: there is no goal."""
    note: str = ""
    COLUMNS: ClassVar = ("work", "ours", "baseline", "reference", "goal", "met", "note")

    @property
    def cells(self) -> list[str]:
        """The row of the table, with the ratio of ours to each of the others."""
        met = "" if self.met is None else ("yes" if self.met else "no")
        return [
            self.work,
            f"{readable(self.ours)} {self.unit}".strip(),
            *(self._with_ratio(other) for other in (self.baseline, self.reference)),
            self.goal,
            met,
            self.note,
        ]

    def _with_ratio(self, other: float | None) -> str:
        if other is None:
            return ""
        ratio = f" ({self.ours / other:.2f} x)" if other else ""
        return f"{readable(other)}{ratio}"


@dataclass(frozen=True)
class Table:
    """Figures without a baseline, a reference or a goal."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""

    def __str__(self) -> str:
        text = tabulate(self.rows, self.headers, tablefmt="pipe", disable_numparse=True)
        return f"{self.caption}\n\n{text}" if self.caption else text


@dataclass(frozen=True)
class Measured:
    """The results of a benchmark."""

    how: str
    """What ran, how often, and what the baseline and the reference are."""
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = field(default=())

    def __str__(self) -> str:
        headers = Figure.COLUMNS
        rows = [figure.cells for figure in self.figures]
        used = [i for i in range(len(headers)) if any(row[i] for row in rows)]
        shown = Table([headers[i] for i in used], [[row[i] for i in used] for row in rows])
        return "\n\n".join([self.how, *([str(shown)] if rows else []), *map(str, self.tables)])


def readable(number: float) -> str:
    """Three significant digits, with thousands separators."""
    if abs(number) >= 100:  # noqa: PLR2004 - three digits
        return f"{number:,.0f}"
    return f"{number:.3g}"


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def percentile(values: Sequence[float], percent: float) -> float:
    """The measured value that `percent` of the values do not exceed; not interpolated."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
