"""A file of cabinets and accumulators: its form is recognized by its content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tools import ToolError
from tools.fleet import text
from tools.fleet.check import check
from tools.fleet.document import Document, Lines, is_document
from tools.fleet.records import Checked, Failure, Form
from tools.fleet.table import Table


@dataclass(frozen=True)
class FleetFile:
    """A file that was read and checked."""

    path: Path
    description: str
    """Its form and encoding, in words."""
    form: Form
    checked: Checked

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file. Raises ToolError if it cannot be understood at all."""
        content, encoding = text.read(path)
        try:
            form = form_of(content, path.suffix.lower())
            checked = check(form.records)
        except RecursionError:
            raise ToolError(f"{path}: the JSON is nested too deeply") from None
        except ToolError as error:
            raise ToolError(f"{path}: {error}") from None
        if not form.records:
            raise ToolError(f"{path} has no cabinets and no accumulators")
        return cls(path, f"{form.description}, {encoding}", form, checked)

    def failures_path(self) -> Path:
        """Return where the failures are written unless the user says where."""
        return self.path.with_name(f"{self.path.stem}.failures{self.form.suffix}")

    def write_failures(self, failures: list[Failure], path: Path) -> None:
        """Write what failed in the form of this file, to be mended and imported. Raises ToolError.

        A byte-order mark tells Excel that it is UTF-8.
        """
        encoding = "utf-8-sig" if isinstance(self.form, Table) else "utf-8"
        content = self.form.failed(failures).encode(encoding, errors="backslashreplace")
        try:
            path.write_bytes(content)
        except OSError as error:
            raise ToolError(f"the failures cannot be written to {path}: {error.strerror}") from None


def form_of(content: str, suffix: str) -> Form:
    """Return the form of a text. Raises ToolError if it has none."""
    if suffix in {".jsonl", ".ndjson"}:
        return Lines(content)
    if content.lstrip()[:1] in {"{", "["}:
        return Document(content) if is_document(content) else Lines(content)
    return Table(content)
