"""`python -m local documents`: write what is generated in docs/, or check that it is current.

Generated are whole files (OpenAPI, AsyncAPI) and sections of pages, each between the lines
`<!-- NAME:begin -->` and `<!-- NAME:end -->`.
"""

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bridge.settings import Settings as BridgeSettings
from local import asyncapi, event_examples, openapi, state_diagrams, webhooks_asyncapi
from shared.config import Settings

DIRECTORY = Path(__file__).parents[1] / "docs"
_EXAMPLES = DIRECTORY.parent / "examples"
_FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "openapi.json": openapi.document,
    "asyncapi.json": asyncapi.document,
    "webhooks.asyncapi.json": webhooks_asyncapi.document,
}


def _settings_table(model: type[BaseModel]) -> str:
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        default = field.default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        shown = "empty" if default in ("", None) else f"`{text}`"
        rows.append(f"| `{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def _program(name: str) -> str:
    text = (_EXAMPLES / name).read_text(encoding="utf-8")
    return f"```python\n{text}```"


_SECTIONS: dict[str, dict[str, Callable[[], str]]] = {
    "event-types.md": {"event-types": event_examples.markdown},
    "following-events.md": {"follow_events.py": lambda: _program("follow_events.py")},
    "how-it-works.md": {"states": state_diagrams.markdown},
    "settings.md": {
        "settings-functions": lambda: _settings_table(Settings),
        "settings-bridge": lambda: _settings_table(BridgeSettings),
    },
}


def write(directory: Path) -> None:
    """Write every generated file, and the generated sections of the pages that exist."""
    for name, text in _texts(directory).items():
        (directory / name).write_text(text, encoding="utf-8")


def check(directory: Path) -> list[str]:
    """Return the names of the files that are missing or out of date."""
    texts = _texts(directory)
    return [name for name, text in texts.items() if _read(directory / name) != text]


def main(arguments: Sequence[str] = (), directory: Path = DIRECTORY) -> int:
    """Write the documents; with --check report outdated ones by exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m local documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only check")
    if not parser.parse_args(arguments).check:
        write(directory)
        return 0
    outdated = check(directory)
    for name in outdated:
        print(f"{directory.name}/{name} is out of date; run: make documents")
    return 1 if outdated else 0


def _texts(directory: Path) -> dict[str, str]:
    texts = {
        name: json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
        for name, document in _FILES.items()
    }
    for name, sections in _SECTIONS.items():
        page = _read(directory / name)
        if page is not None:
            for section, content in sections.items():
                page = _with_section(name, page, section, content())
            texts[name] = page
    return texts


def _with_section(name: str, page: str, section: str, content: str) -> str:
    pattern = rf"(<!-- {section}:begin -->\n).*(<!-- {section}:end -->\n)"
    found = re.search(pattern, page, re.DOTALL)
    if found is None:
        raise LookupError(
            f"{name} has no lines <!-- {section}:begin --> and <!-- {section}:end -->"
        )
    return page[: found.end(1)] + content.rstrip("\n") + "\n" + page[found.start(2) :]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
