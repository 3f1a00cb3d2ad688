"""The pages about events name every type, and no other."""

import re

from shared.models.events import TYPES
from tests.support import pages


def test_the_table_of_types_names_every_type() -> None:
    named: list[str] = []
    for span in pages.spans("docs/following-events.md"):
        if span.section == "Types" and (found := re.fullmatch(r"([a-z]*)\.([a-z_]+)", span.text)):
            noun = found[1] or named[-1].partition(".")[0]
            named.append(f"{noun}.{found[2]}")
    assert set(named) == {*TYPES}
