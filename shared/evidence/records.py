"""The records of a unit of work: cabinets, cells, accumulators, bookings and commands.

Each record is mutable and remembers whether it has to be written. `eq=False`: a record equals only
itself, whatever its fields say.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from shared import states
from shared.commands import registry
from shared.db import Row
from shared.states import Machine
from shared.values import Location

Position = tuple[int, int]
"""(boot_no, seq): the place of a message in its cabinet's order."""


class Limits(NamedTuple):
    """What one cabinet may cause; docs/settings.md."""

    claims_per_hour: int = 12
    unknown_per_day: int = 200


@dataclass(kw_only=True, eq=False)
class Record:
    """What all records share. `Record.changed`: a field differs from what is stored."""

    changed: bool = False

    def set(self, **values: Any) -> None:
        """Set fields, and mark the record as changed if a value differs."""
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)
                self.changed = True


@dataclass(kw_only=True, eq=False)
class StatefulRecord(Record):
    """A record whose `state_field` moves only through its `machine`."""

    machine: ClassVar[Machine]
    state_field: ClassVar[str] = "status"

    def advance(self, event: str) -> None:
        """Move to the state that follows on `event`. Raises IllegalTransition."""
        state = getattr(self, self.state_field)
        self.set(**{self.state_field: self.machine.after(state, event)})


@dataclass(kw_only=True, eq=False)
class Cell(Record):
    """A cell as the last message that was applied to it reported it."""

    cabinet_id: str
    cell_number: int
    door: str
    content: str
    reported_id: str | None
    fault: str | None
    health: str
    health_reason: str | None
    boot_no: int
    seq: int
    reported_at: datetime | None
    opened_by: UUID | None
    """The command that opened the door, until the door is reported closed."""
    held_back: bool
    """It reports what others hold, and that was not applied: its cabinet was suspect."""

    @property
    def location(self) -> Location:
        """The cell as a place of accumulators."""
        return Location(cabinet_id=self.cabinet_id, cell_number=self.cell_number)

    @property
    def has_known_content(self) -> bool:
        """Whether the cell reported an accumulator, or that it is empty."""
        return self.content in {"empty", "occupied"}

    def mark_faulty(self, reason: str) -> None:
        """Take the cell out of use; an operator's `disabled` has precedence."""
        if self.health == "ok":
            self.set(health="faulty", health_reason=reason)


@dataclass(kw_only=True, eq=False)
class Accumulator(StatefulRecord):
    """An accumulator and where it is."""

    machine: ClassVar[Machine] = states.ACCUMULATOR

    accumulator_id: str
    place: Location
    battery_charge: int | None
    state_of_health: int | None
    status: str
    is_unknown: bool = False
    """A cabinet's report registered it, and nothing has been said about its status since."""
    issued_by: UUID | None = None
    """The unlock command by which it left its cell, if it left by one."""
    moved_on_since: bool = False
    """A swap or a transfer was reported after that. A cabinet's message may still be older."""
    is_declared: bool = False
    """Nothing but a registration or an import says that it is where it is."""
    taken_from: str | None = None
    """The cabinet from which another one's claim has taken it, if nothing moved it since."""


@dataclass(kw_only=True, eq=False)
class Hold(StatefulRecord):
    """A cell of a booking."""

    machine: ClassVar[Machine] = states.BOOKING_CELL
    state_field: ClassVar[str] = "state"

    booking_id: UUID
    cabinet_id: str
    cell_number: int
    accumulator_id: str | None
    battery_charge: int | None
    state: str
    reason: str | None
    finished: bool

    @property
    def is_opened(self) -> bool:
        """Whether its cell opened."""
        return self.state in {"opened", "inserted"}

    def may_open_after(self, result: str | None) -> bool:
        """Whether the cell may still have opened, after its command's stored `result`.

        It is held; or it failed, or was released, only because nobody knew that it had opened.
        """
        return self.state == "held" or (
            self.state in {"failed", "released"}
            and self.reason is not None
            and self.reason in {"unresolved", result}
        )


@dataclass(kw_only=True, eq=False)
class Booking(StatefulRecord):
    """A booking that is unfinished or that a command names."""

    machine: ClassVar[Machine] = states.BOOKING

    booking_id: UUID
    cabinet_id: str
    contractor_id: str
    kind: str
    status: str
    requested: int
    command_id: UUID | None
    holds: dict[int, Hold] = field(default_factory=dict)
    needs_refill: bool = False
    """It has lost cells and may hold others instead."""


@dataclass(kw_only=True, eq=False)
class Command(StatefulRecord):
    """A command that a result or evidence may settle."""

    machine: ClassVar[Machine] = states.COMMAND

    command_id: UUID
    cabinet_id: str | None
    kind: str
    payload: dict[str, Any]
    booking_id: UUID | None
    contractor_id: str | None
    """For whom an operator opened cells without a booking."""
    status: str
    reason: str | None
    result: list[Row]
    created_at: Any
    deadline: Any
    published_at: Any
    finished_at: Any
    late: bool
    inferred: bool
    is_recent: bool
    """It was created within the reconcile window."""

    @property
    def cells(self) -> list[int]:
        """The cells that it names."""
        return list(self.payload.get("cells", []))

    @property
    def success(self) -> str | None:
        """The result that a cabinet reports for a cell when the command succeeded there."""
        return registry()[self.kind].cell_result if self.kind in registry() else None

    @property
    def answered_by_report(self) -> bool:
        """Whether a state report that names the command is its result."""
        return self.kind in registry() and registry()[self.kind].answered_by_report

    @property
    def opens_doors(self) -> bool:
        """Whether it opens doors."""
        return self.success == "opened"

    @property
    def is_unsettled(self) -> bool:
        """Whether nobody knows yet if it was executed."""
        return self.status in states.COMMAND_UNSETTLED

    def result_of(self, cell_number: int) -> str | None:
        """Return the stored result of a cell."""
        results = (row["result"] for row in self.result if row["cell_number"] == cell_number)
        return next(results, None)

    def has_failed_to_open(self, cell: Cell) -> bool:
        """Whether it was to open the cell, and its stored result says that it did not."""
        return self.opens_doors and self.result_of(cell.cell_number) not in {None, "opened"}


@dataclass(kw_only=True, eq=False)
class Cabinet(Record):
    """A cabinet; `report_boot_no` and `report_seq` name the last complete report applied to it."""

    cabinet_id: str
    device_id: str
    protocol: str
    status: str
    alarms: list[str]
    firmware: str | None
    cells_total: int
    boot_no: int
    report_boot_no: int
    report_seq: int
    reported_at: datetime | None
    """When that report was received, by the database's clock."""
    session: str | None
    """The connection that the last hello named."""
    session_boot_no: int
    session_seq: int
    signed_off: bool
    """That connection was lost, and nothing was heard since."""
    is_enrolling: bool
    """It puts accumulators in service that nobody has registered."""
    is_suspect: bool
    suspect_reason: str | None
    device_boot_no: int
    """The boot_no when the cabinet got its device."""
    heard: bool = False
    """It sent a message in this batch."""
    booted_at: datetime | None = None
    """When the current boot was first heard of, by the database's clock; None: in this batch."""
    boots: dict[str, int] = field(default_factory=dict)
    """boot_id to boot_no, for the current boot and those that the batch names."""
    restart_seqs: dict[str, int | None] = field(default_factory=dict)
    """boot_id to the lowest seq after which the boot's numbering has restarted."""
    cells: dict[int, Cell] = field(default_factory=dict)
    reported: bool = False
    """A complete report was applied in this batch."""
    claimed: set[str] = field(default_factory=set)
    """The accumulators of others that it has claimed lately: see `cabinets.claims`."""
    found: int = 0
    """Unknown accumulators that it has had registered in the last 24 hours."""

    @property
    def report_position(self) -> Position:
        """The position of the last complete report that was applied."""
        return self.report_boot_no, self.report_seq

    @property
    def newest_position(self) -> Position:
        """The position of the newest message that was applied to any cell."""
        return max(self.position(cell) for cell in self.cells.values())

    @property
    def applied_at(self) -> datetime | None:
        """When that message, or a later one, was received; None: in this batch, or never."""
        times = [self.reported_at, *(cell.reported_at for cell in self.cells.values())]
        has_changed = self.reported or any(cell.changed for cell in self.cells.values())
        return None if has_changed else max((t for t in times if t is not None), default=None)

    def position(self, cell: Cell) -> Position:
        """Return the position of the last message that was applied to `cell`."""
        return max((cell.boot_no, cell.seq), self.report_position)
