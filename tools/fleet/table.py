"""CSV files: delimiter, header and rows, as spreadsheets and scripts write them."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tools import ToolError
from tools.fleet import columns
from tools.fleet.records import Failure, Fault, Record

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=(.)\"?[;,\t\s]*", re.IGNORECASE)
_EXAMPLE = "cabinet_id,lat,lon,cells_total or accumulator_id,battery_charge"

_TOO_MANY = (
    "the row has more values than the header has columns; a value with a comma, also a decimal"
    " comma, is written in quotes"
)


class _Row(NamedTuple):
    line: int
    cells: list[str]


class Table:
    """A CSV file: its rows as records."""

    suffix = ".csv"

    def __init__(self, text: str) -> None:
        lines = [*io.StringIO(text, newline="")]
        first = next((n for n, line in enumerate(lines) if line.strip()), len(lines))
        given = _SEPARATOR_LINE.fullmatch(lines[first]) if first < len(lines) else None
        self._start = first + bool(given)
        self._delimiter = given[1] if given else self._detected(lines[self._start :])
        rows = _rows(lines, self._start, self._delimiter)
        header = next(rows, _Row(0, []))
        self._header = header.cells
        self._names = _names(header)
        self.records: Sequence[Record] = [self._record(row) for row in rows]
        self.description = f"CSV with {_DELIMITERS.get(self._delimiter, repr(self._delimiter))}"

    def failed(self, failures: Sequence[Failure]) -> str:
        """Return a table with the rows of these failures, and a column that says what to mend.

        Values without a column stand behind the error: the row fails again until it is mended.
        """
        kept = [n for n, name in enumerate(self._names) if name and name != columns.ERROR]
        output = io.StringIO()
        if self._delimiter not in _DELIMITERS:
            output.write(f"sep={self._delimiter}\n")
        writer = csv.writer(output, delimiter=self._delimiter, lineterminator="\n")
        writer.writerow([*(self._header[n] for n in kept), columns.ERROR])
        for failure in failures:
            cells = failure.record.source
            row = [cells[n] if n < len(cells) else "" for n in kept]
            extra = [cell for cell in self._without_column(cells) if cell.strip()]
            writer.writerow([*row, "; ".join(map(str, failure.faults)), *extra])
        return output.getvalue()

    @staticmethod
    def _detected(lines: Sequence[str]) -> str:
        """Return the delimiter with which the header has the most known columns."""
        header = next((line for line in lines if line.strip()), "")
        known = Counter(
            {
                delimiter: sum(columns.named(cell.strip().strip('"')) is not None for cell in cells)
                for delimiter in _DELIMITERS
                for cells in [header.split(delimiter)]
            }
        )
        return known.most_common(1)[0][0]

    def _record(self, row: _Row) -> Record:
        fields: dict[str, Any] = {}
        faults = []
        for name, cell in zip(self._names, row.cells, strict=False):
            if not (value := cell.strip()) or not name or name == columns.ERROR:
                continue
            try:
                fields[name] = columns.IMPORTED.get(name, columns.text)(value)
            except ValueError as error:
                faults.append(Fault(name, str(error)))
                fields[name] = None
        if any(cell.strip() for cell in self._without_column(row.cells)):
            faults.append(Fault("", _TOO_MANY))
        coords = {name: fields.pop(name) for name in ("lat", "lon") if name in fields}
        if coords:
            fields["coords"] = coords
        return Record(f"line {row.line}", row.cells, fields, faults)

    def _without_column(self, cells: Sequence[str]) -> Sequence[str]:
        unnamed = [cell for cell, name in zip(cells, self._names, strict=False) if not name]
        return [*unnamed, *cells[len(self._names) :]]


def _rows(lines: Sequence[str], start: int, delimiter: str) -> Iterator[_Row]:
    """Yield the rows that are not blank. `line` is where a row begins, counted from 1."""
    try:
        reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
    except (csv.Error, TypeError) as error:
        raise ToolError(f"{delimiter!r} cannot separate columns: {error}") from None
    while True:
        line = start + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ToolError(
                f"line {line}: {error}; a quote inside a quoted value is written twice"
            ) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield _Row(line, cells)


def _names(header: _Row) -> list[str]:
    """Return the name of each column; empty for one without a header. Raises ToolError."""
    if not header.cells:
        raise ToolError(f"the file has no header line; an example: {_EXAMPLE}")
    names = []
    for cell in header.cells:
        name = columns.named(cell)
        if cell.strip() and name is None:
            near = columns.suggestion(cell, columns.IMPORTED)
            raise ToolError(
                f"line {header.line}: unknown column {columns.shown(cell.strip())}{near};"
                f" known: {', '.join(columns.IMPORTED)}"
            )
        if name in names:
            raise ToolError(f"line {header.line}: the column {name} is there twice")
        names.append(name or "")
    return names
