"""The blocks of docs/performance.md that a run of the benchmarks replaces."""

import re
from pathlib import Path

from benchmarks.figures import Figure, Measured, Table

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- measured: (\w+) -->).*?(<!-- end -->)", re.DOTALL)
_GOALS = "goals"


def write(name: str, measured: Measured, page: Path = PAGE) -> None:
    """Replace a benchmark's block, and the table of goals.

    Raises LookupError if the page has no block of this name.
    """
    text = _put(page.read_text(), name, str(measured))
    page.write_text(_put(text, _GOALS, str(_goals(text))))


def _put(text: str, name: str, content: str) -> str:
    if name not in {found[2] for found in _BLOCK.finditer(text)}:
        raise LookupError(f"the page has no block <!-- measured: {name} --> … <!-- end -->")
    return _BLOCK.sub(lambda b: f"{b[1]}\n\n{content}\n\n{b[3]}" if b[2] == name else b[0], text)


def _goals(text: str) -> Table:
    """All figures of the page that have a goal, as they appear in their blocks."""
    rows = []
    for block in _BLOCK.finditer(text):
        columns: list[str] = []
        for line in block[0].splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            columns = cells if "goal" in cells else columns if line.startswith("|") else []
            row = dict(zip(columns, cells, strict=False))
            if block[2] != _GOALS and row.get("met") in {"yes", "no"}:
                rows.append([block[2], *(row.get(column, "") for column in Figure.COLUMNS[:-1])])
    return Table(["benchmark", *Figure.COLUMNS[:-1]], rows)
