"""docs/performance.md: the blocks that a run of the benchmarks writes anew."""

import re
from pathlib import Path

from benchmarks.figures import Measured

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def write(name: str, measured: Measured, page: Path = PAGE) -> None:
    """Put a benchmark's figures between its two marks.

    Raises LookupError if the page has no such marks.
    """
    begin, end = f"<!-- measured: {name} -->", "<!-- end -->"
    block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text = page.read_text()
    if not block.search(text):
        raise LookupError(f"{page.name} has no block {begin} … {end}")
    page.write_text(block.sub(lambda _: f"{begin}\n\n{measured}\n\n{end}", text))
