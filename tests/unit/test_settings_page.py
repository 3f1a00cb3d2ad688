from pathlib import Path

import pytest
from pydantic import BaseModel

from bridge.settings import Settings as BridgeSettings
from shared.config import Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.mark.parametrize(
    ("heading", "model"), [("Functions", Settings), ("Bridge", BridgeSettings)]
)
def test_the_page_lists_every_variable_as_the_code_has_it(
    heading: str, model: type[BaseModel]
) -> None:
    expected = [
        [f"`{name.upper()}`", _shown(field.default), field.description]
        for name, field in model.model_fields.items()
    ]
    assert _table_under(heading) == expected


def _shown(default: object) -> str:
    if default in ("", None):
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _table_under(heading: str) -> list[list[str]]:
    """The rows of the section's table, without its two head rows."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]
