"""The file with the physical state of the cabinets: one line for each change.

Appending a change costs the same however many cabinets there are. Each line is a JSON object with
the cabinets and bags that have changed; the last line that has one counts.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local import CannotStart

_LEAST_BYTES_TO_REWRITE = 1_000_000
_LEAST_GROWTH_TO_REWRITE = 4


class StateFile:
    """Stores what is written to it even if the process is killed; without a file, nothing."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._rewritten_bytes = self._appended_bytes = 0

    @property
    def needs_rewrite(self) -> bool:
        """Whether most of the file is out of date."""
        limit = max(_LEAST_BYTES_TO_REWRITE, _LEAST_GROWTH_TO_REWRITE * self._rewritten_bytes)
        return self._appended_bytes > limit

    def rewrite(self, cabinets: Mapping[str, str], bags: Mapping[str, object]) -> None:
        """Replace the content with these cabinets, JSON texts by id, and bags."""
        if self._file is None:
            return
        draft = self._file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            file.writelines(_line({cabinet_id: text}, {}) for cabinet_id, text in cabinets.items())
            file.write(_line({}, bags))
        self._rewritten_bytes, self._appended_bytes = draft.stat().st_size, 0
        draft.replace(self._file)

    def append(self, cabinets: Mapping[str, str], bags: Mapping[str, object]) -> None:
        """Add a line with the cabinets and bags that have changed."""
        if self._file is None:
            return
        line = _line(cabinets, bags)
        self._appended_bytes += len(line)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line)

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the cabinets and the bags. Raises CannotStart if the file is damaged."""
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
            raise self.damaged(error) from error
        return cabinets, bags

    def damaged(self, error: Exception) -> CannotStart:
        """Return the exception to raise if the content cannot be used."""
        return CannotStart(
            f"cannot read the cabinets' state from {self._file} ({error}); delete it to"
            " start with new cabinets"
        )


def _line(cabinets: Mapping[str, str], bags: Mapping[str, object]) -> str:
    texts = ", ".join(f"{json.dumps(cabinet_id)}: {text}" for cabinet_id, text in cabinets.items())
    return f'{{"cabinets": {{{texts}}}, "bags": {json.dumps(bags)}}}\n'
