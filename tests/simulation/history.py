"""What happened in a run, one line a step, with short names for long ids."""

import re

_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


class History:
    """Lines that are the same whenever the same happens: ids are named by their first mention."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[str, str] = {}

    def begin(self, number: int, kind: str) -> None:
        """A step begins."""
        self.lines.append(f"{number:4} {kind} …")

    def drop(self) -> None:
        """The step came to nothing."""
        self.lines.pop()

    def end(self, number: int, told: str) -> None:
        """What the step came to."""
        self.lines[-1] = f"{number:4} {self.shortened(told)}"

    def note(self, told: str) -> None:
        """What happened besides."""
        self.lines.append(f"     {self.shortened(told)}")

    def shortened(self, text: str) -> str:
        """With `#1`, `#2`, … for ids."""
        return _UUID.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        return self._names.setdefault(match.group(), f"#{len(self._names) + 1}")
