"""docs/performance.md: what a run of the benchmarks writes into it, and what it leaves."""

from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Figure, Measured

PAGE = """# Page

<!-- measured: goals --><!-- end -->

Words.

<!-- measured: first --><!-- end -->

<!-- measured: second -->

how

| work | ours | goal | met |
|:-----|:-----|:-----|:----|
| old  | 3 ms | ≤ 2  | no  |

<!-- end -->
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = tmp_path / "page.md"
    file.write_text(PAGE)
    return file


def test_a_block_is_written_and_the_rest_stays(written: Path) -> None:
    page.write("first", Measured("how it ran"), written)
    assert "Words.\n\n<!-- measured: first -->\n\nhow it ran\n\n<!-- end -->" in written.read_text()


def test_the_goals_are_those_of_every_block_whenever_it_was_written(written: Path) -> None:
    figures = [
        Figure("new", 1, "ms", floor=0.5, goal="≤ 2", met=True),
        Figure("no goal", 7, "ms"),
    ]
    for _ in range(2):
        page.write("first", Measured("how", figures=figures), written)
    goals = written.read_text().partition("<!-- end -->")[0]
    table = [row for row in goals.splitlines() if row.startswith("|")]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[2:]]
    assert rows == [
        ["first", "new", "1 ms", "0.5 (2.00 x)", "", "≤ 2", "yes"],
        ["second", "old", "3 ms", "", "", "≤ 2", "no"],
    ]


def test_a_benchmark_without_a_block_is_an_error(written: Path) -> None:
    with pytest.raises(LookupError, match="measured: third"):
        page.write("third", Measured("how"), written)


def test_the_page_has_a_block_for_each_benchmark() -> None:
    text = page.PAGE.read_text()
    assert [name for name in BENCHMARKS if f"<!-- measured: {name} -->" not in text] == []
