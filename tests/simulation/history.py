"""The history of a run: one line per step, with short names for UUIDs."""

import re

_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


class History:
    """Reproducible lines: UUIDs are numbered in the order of their first mention."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[str, str] = {}

    def begin(self, number: int, kind: str) -> None:
        """Begin the line of a step."""
        self.lines.append(f"{number:4} {kind} …")

    def drop(self) -> None:
        """Remove the line of a step that did nothing."""
        self.lines.pop()

    def end(self, number: int, text: str) -> None:
        """Complete the line of a step."""
        self.lines[-1] = f"{number:4} {self.shortened(text)}"

    def note(self, text: str) -> None:
        """Add a line that belongs to no step."""
        self.lines.append(f"     {self.shortened(text)}")

    def shortened(self, text: str) -> str:
        """Return the text with `#1`, `#2`, … for UUIDs."""
        return _UUID.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        return self._names.setdefault(match.group(), f"#{len(self._names) + 1}")
