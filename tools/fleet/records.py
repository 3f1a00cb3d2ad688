"""What a file says about one cabinet or accumulator, and why it cannot be imported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

Kind = Literal["cabinet", "accumulator"]
KINDS: tuple[Kind, ...] = ("cabinet", "accumulator")


class Fault(NamedTuple):
    """Something wrong in a record. `column`: empty if it is not about one."""

    column: str
    message: str
    code: str = "invalid_request"

    def __str__(self) -> str:
        return f"{self.column}: {self.message}" if self.column else self.message


@dataclass(frozen=True)
class Record:
    """A row of a table, or an object of a JSON file."""

    where: str
    """Its place in the file: `line 7`, or `cabinets[6]`."""
    source: Any
    """As it is in the file: the row's cells, or the object."""
    fields: Mapping[str, Any]
    """What the API takes, not checked yet. Empty cells are left out."""
    faults: Sequence[Fault] = ()
    kind: Kind | None = None
    """None: the ids that it has say what it is."""


@dataclass(frozen=True)
class Item:
    """A cabinet or an accumulator that may be sent."""

    kind: Kind
    item_id: str
    body: Mapping[str, Any]
    record: Record


@dataclass(frozen=True)
class Failure:
    """A record that was not imported, and why."""

    record: Record
    faults: Sequence[Fault]
    kind: Kind | None = None
    item_id: str | None = None


class Form(Protocol):
    """How a file is written: its records, and a file of the same form with what failed."""

    description: str
    suffix: str
    records: Sequence[Record]

    def failed(self, failures: Sequence[Failure]) -> str:
        """Return the text of a file with these records, each with its error."""


@dataclass(frozen=True)
class Checked:
    """A file's items, and the records that cannot be sent."""

    items: Sequence[Item]
    failures: Sequence[Failure]
    ignored: Sequence[str] = field(default=())
    """The columns, or fields, that have values and are not imported."""
