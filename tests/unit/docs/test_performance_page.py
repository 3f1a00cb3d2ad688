"""docs/performance.md: what a run of the benchmarks writes into it."""

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
def copied_page(tmp_path: Path) -> Path:
    file = tmp_path / "page.md"
    file.write_text(PAGE)
    return file


def test_writing_a_block_leaves_the_rest_of_the_page(copied_page: Path) -> None:
    page.write("first", Measured("how it ran"), copied_page)
    assert (
        "Words.\n\n<!-- measured: first -->\n\nhow it ran\n\n<!-- end -->"
        in copied_page.read_text()
    )


def test_the_goals_table_lists_the_goals_of_every_block(copied_page: Path) -> None:
    figures = [
        Figure("new", 1, "ms", baseline=0.5, goal="≤ 2", met=True),
        Figure("no goal", 7, "ms"),
    ]
    for _ in range(2):
        page.write("first", Measured("how", figures=figures), copied_page)
    goals = copied_page.read_text().partition("<!-- end -->")[0]
    table = [row for row in goals.splitlines() if row.startswith("|")]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[2:]]
    assert rows == [
        ["first", "new", "1 ms", "0.5 (2.00 x)", "", "≤ 2", "yes"],
        ["second", "old", "3 ms", "", "", "≤ 2", "no"],
    ]


def test_a_benchmark_without_a_block_is_an_error(copied_page: Path) -> None:
    with pytest.raises(LookupError, match="measured: third"):
        page.write("third", Measured("how"), copied_page)


def test_the_page_has_a_block_for_each_benchmark() -> None:
    text = page.PAGE.read_text()
    assert [name for name in BENCHMARKS if f"<!-- measured: {name} -->" not in text] == []
