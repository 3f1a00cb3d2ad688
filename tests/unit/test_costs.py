"""docs/deploying.md and the benchmarks reckon with the same prices."""

import re
from pathlib import Path

import pytest

from benchmarks.costs import Load, monthly

_PAGE = Path(__file__).parents[2] / "docs" / "deploying.md"
_SECONDS = 0.9 * 0.2 + 0.1 * 2 + 0.1 + 0.02
"""A request a second, a tenth of them unlocks, as the page's formula has it."""


def test_the_benchmarks_formulae_give_the_pages_example() -> None:
    load = Load(requests=1, batches=1, function_seconds=_SECONDS, cabinets=100)

    assert monthly(load) == pytest.approx(_example(), abs=1)


def _example() -> dict[str, float]:
    rows = re.findall(r"^\| ([^|]+) \|.*\| ([\d,]+) \|$", _PAGE.read_text(), re.MULTILINE)
    return {name: float(roubles.replace(",", "")) for name, roubles in rows}
