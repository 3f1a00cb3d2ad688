"""`python -m local documents`: the committed descriptions of the API and the cabinet protocol."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from local import asyncapi, openapi

DIRECTORY = Path(__file__).parents[1] / "docs"
_DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "openapi.json": openapi.document,
    "asyncapi.json": asyncapi.document,
}


def write(directory: Path) -> None:
    """Write every document as the code describes it now."""
    for name, text in _texts().items():
        (directory / name).write_text(text, encoding="utf-8")


def check(directory: Path) -> list[str]:
    """Names of the documents that are missing or differ from the code."""
    return [name for name, text in _texts().items() if _read(directory / name) != text]


def main(arguments: Sequence[str] = (), directory: Path = DIRECTORY) -> int:
    """Write the documents; with --check only tell, with exit code 1, which are out of date."""
    parser = argparse.ArgumentParser(prog="python -m local documents", description=__doc__)
    parser.add_argument("--check", action="store_true", help="Only say whether they are current")
    if not parser.parse_args(arguments).check:
        write(directory)
        return 0
    outdated = check(directory)
    for name in outdated:
        print(f"{directory.name}/{name} is not what the code says; run: make documents")
    return 1 if outdated else 0


def _texts() -> dict[str, str]:
    return {
        name: json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
        for name, document in _DOCUMENTS.items()
    }


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
