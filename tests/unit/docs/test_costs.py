"""docs/deploying.md and the benchmarks calculate with the same prices."""

import re
from pathlib import Path

import pytest

from benchmarks.costs import Load, monthly

_PAGE = Path(__file__).parents[3] / "docs" / "deploying.md"
_SECONDS = 0.9 * 0.2 + 0.1 * 2 + 0.1 + 0.02
"""Function time at one request a second, a tenth of them unlocks, by the page's formula."""


def test_the_cost_formulas_give_the_figures_of_the_example_on_the_page() -> None:
    load = Load(requests=1, batches=1, function_seconds=_SECONDS, cabinets=100)

    assert monthly(load) == pytest.approx(_example(), abs=1)


def _example() -> dict[str, float]:
    rows = re.findall(r"^\| ([^|]+) \|.*\| ([\d,]+) \|$", _PAGE.read_text(), re.MULTILINE)
    return {name: float(roubles.replace(",", "")) for name, roubles in rows}
