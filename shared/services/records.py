"""What is known of cabinets, cells, accumulators, bookings and commands, while it changes.

Each is itself, whatever its fields say by now: `eq=False`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.commands import registry
from shared.db import Row
from shared.repo.accumulators import Location

IN_DOUBT = {"pending", "published", "no_answer", "unresolved"}


@dataclass(kw_only=True, eq=False)
class Cell:
    """A cell; `position` is (boot_no, seq) of the last message that was applied to it."""

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
    opened_by: UUID | None
    changed: bool = False

    def set(self, **values: Any) -> None:
        """Change fields, and remember whether any is new."""
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)
                self.changed = True

    def fail(self, reason: str) -> None:
        """Evidence says that it does not work; a person's word stands above that."""
        if self.health == "ok":
            self.set(health="faulty", health_reason=reason)


@dataclass(kw_only=True, eq=False)
class Accumulator:
    """An accumulator; `issued_by` is the unlock by which it left its cell, if it left by one.

    `swapped`: a swap was reported since. What the cabinet said before may come after that report.
    """

    accumulator_id: str
    place: Location
    battery_charge: int | None
    state_of_health: int | None
    status: str
    issued_by: UUID | None = None
    swapped: bool = False
    changed: bool = False

    def read(self, **values: Any) -> None:
        """Take readings, and remember whether any is new."""
        for name, value in values.items():
            if getattr(self, name) != value:
                setattr(self, name, value)
                self.changed = True


@dataclass(kw_only=True, eq=False)
class Hold:
    """A cell of a booking."""

    booking_id: UUID
    cabinet_id: str
    cell_number: int
    accumulator_id: str | None
    battery_charge: int | None
    state: str
    reason: str | None
    finished: bool
    changed: bool = False

    @property
    def done(self) -> bool:
        """Whether its cell opened."""
        return self.state in {"opened", "inserted"}

    def become(self, state: str, *, finished: bool, reason: str | None = None) -> None:
        """Move on to another state."""
        self.state, self.finished, self.reason, self.changed = state, finished, reason, True


@dataclass(kw_only=True, eq=False)
class Booking:
    """A booking, unfinished or named by a command."""

    booking_id: UUID
    cabinet_id: str
    contractor_id: str
    kind: str
    status: str
    requested: int
    command_id: UUID | None
    holds: dict[int, Hold] = field(default_factory=dict)
    changed: bool = False
    wants_more: bool = False

    def become(self, status: str) -> None:
        """Move on to another status."""
        self.changed = self.changed or self.status != status
        self.status = status


@dataclass(kw_only=True, eq=False)
class Command:
    """A command that evidence or an answer may settle."""

    command_id: UUID
    cabinet_id: str | None
    kind: str
    payload: dict[str, Any]
    booking_id: UUID | None
    status: str
    reason: str | None
    result: list[Row]
    created_at: Any
    deadline: Any
    published_at: Any
    finished_at: Any
    late: bool
    inferred: bool
    changed: bool = False

    @property
    def cells(self) -> list[int]:
        """The cells it names."""
        return list(self.payload.get("cells", []))

    @property
    def success(self) -> str | None:
        """What the cabinet says of a cell in which it succeeded, if it is about cells."""
        return registry()[self.kind].cell_result if self.kind in registry() else None

    @property
    def answered_by_report(self) -> bool:
        """Whether a state report that names it is its answer."""
        return self.kind in registry() and registry()[self.kind].answered_by_report

    def settle_by_report(self) -> None:
        """The report that it asked for has come."""
        if self.status in IN_DOUBT:
            self.late = self.status not in {"pending", "published"}
            self.status, self.changed = "succeeded", True

    @property
    def opens(self) -> bool:
        """Whether it opens doors."""
        return self.success == "opened"


@dataclass(kw_only=True, eq=False)
class Cabinet:
    """A cabinet; `report_…` name the last state report that was applied to all its cells."""

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
    present_since: datetime | None = None
    """When the present generation was heard of for the first time."""
    boots: dict[str, int] = field(default_factory=dict)
    cells: dict[int, Cell] = field(default_factory=dict)
    reported: bool = False

    def position(self, cell: Cell) -> tuple[int, int]:
        """(boot_no, seq) of the last message that was applied to this cell."""
        return max((cell.boot_no, cell.seq), (self.report_boot_no, self.report_seq))
