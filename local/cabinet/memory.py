"""The file of the physical world: a line a change, so that a change costs the same in any city.

Each line is a JSON object with the cabinets, and the bags, that have changed; later lines count.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import CannotStart

_LONG = 1_000_000  # bytes, or so many times the whole
_TIMES = 4


class Memory:
    """Keeps what it is told, also after a kill -9; without a file nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._whole = self._added = 0

    @property
    def is_long(self) -> bool:
        """Whether it is time to begin anew."""
        return self._added > max(_LONG, _TIMES * self._whole)

    def begin(self, cabinets: Mapping[str, str], bags: Mapping[str, object]) -> None:
        """Write everything: cabinets as JSON texts by id."""
        if self._file is None:
            return
        draft = self._file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            file.writelines(_line({cabinet_id: text}, {}) for cabinet_id, text in cabinets.items())
            file.write(_line({}, bags))
        self._whole, self._added = draft.stat().st_size, 0
        draft.replace(self._file)

    def add(self, cabinets: Mapping[str, str], bags: Mapping[str, object]) -> None:
        """Write what has changed."""
        if self._file is None:
            return
        line = _line(cabinets, bags)
        self._added += len(line)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line)

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The cabinets and the bags. Raises CannotStart if the file cannot be understood."""
        cabinets: dict[str, Any] = {}
        bags: dict[str, Any] = {}
        if self._file is None or not self._file.exists():
            return cabinets, bags
        try:
            text = self._file.read_text(encoding="utf-8")
            lines = text[: text.rindex("\n")].split("\n")  # a kill may have cut the last one
            for line in map(json.loads, lines):
                cabinets |= line["cabinets"]
                bags |= line["bags"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self.unreadable(error) from error
        return cabinets, bags

    def unreadable(self, error: Exception) -> CannotStart:
        """The file is not what was written."""
        return CannotStart(
            f"cannot read the cabinets' state from {self._file} ({error}); delete it to"
            " begin with new cabinets"
        )


def _line(cabinets: Mapping[str, str], bags: Mapping[str, object]) -> str:
    texts = ", ".join(f"{json.dumps(cabinet_id)}: {text}" for cabinet_id, text in cabinets.items())
    return f'{{"cabinets": {{{texts}}}, "bags": {json.dumps(bags)}}}\n'
