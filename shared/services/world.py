"""What is known of some locked cabinets: read at once, changed by messages, written at once.

The statements are a handful whatever the number of messages. The cabinets' row locks protect all
of it; accumulators outside cells are locked one by one (a swap may want them, too).
"""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.db import Row, Tx
from shared.repo import accumulators, anomalies, bookings, cabinets, cells, commands
from shared.repo.accumulators import NOWHERE, Location, Move
from shared.services.records import (
    IN_DOUBT,
    Accumulator,
    Booking,
    Cabinet,
    Cell,
    Command,
    Hold,
)

if TYPE_CHECKING:
    from shared.models.accumulators import Cause

MAX_DETAIL = 300


class World:
    """Everything that messages of some cabinets can change."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.cabinets: dict[str, Cabinet] = {}
        self.accumulators: dict[str, Accumulator] = {}
        self.bookings: dict[UUID, Booking] = {}
        self.commands: dict[UUID, Command] = {}
        self._bookings_of: dict[str, list[Booking]] = {}
        self._at: dict[tuple[str, int], Accumulator] = {}
        self.anomalies: list[Row] = []
        self._message: Row = {}
        self._moves: list[Move] = []
        self._registered: list[Row] = []
        self._boots: list[Row] = []

    def load(
        self,
        locked: list[Row],
        *,
        accumulator_ids: Collection[str],
        boot_ids: Collection[str],
        command_ids: Collection[UUID],
    ) -> None:
        """Read all there is of the `locked` cabinets, and what the messages name besides.

        Read again, it forgets what it had read.
        """
        tx, ids = self._tx, [row["cabinet_id"] for row in locked]
        for known in (
            self.cabinets,
            self.commands,
            self.bookings,
            self._bookings_of,
            self.accumulators,
            self._at,
        ):
            known.clear()
        for row in locked:
            fields = {name: row[name] for name in Cabinet.__dataclass_fields__ if name in row}
            self.cabinets[row["cabinet_id"]] = Cabinet(**fields)
        for row in cabinets.boots(tx, ids, boot_ids):
            cabinet = self.cabinets[row["cabinet_id"]]
            cabinet.boots[row["boot_id"]] = row["boot_no"]
            if row["present"]:
                cabinet.present_since = row["first_seen_at"]
        openers = set()
        for row in cells.of_cabinets(tx, ids):
            self.cabinets[row["cabinet_id"]].cells[row["cell_number"]] = Cell(**row)
            openers |= {row["opened_by"]} - {None}
        for row in commands.in_doubt(tx, ids, {*command_ids, *openers}):
            self.commands[row["command_id"]] = Command(**row)
        self._load_bookings(ids)
        # What is held may have been reported elsewhere: a swap, a person, another cabinet.
        holds = (hold for booking in self.bookings.values() for hold in booking.holds.values())
        held = {hold.accumulator_id for hold in holds if hold.accumulator_id is not None}
        self._load_accumulators(ids, {*accumulator_ids, *held})

    def _load_accumulators(self, cabinet_ids: list[str], named: Collection[str]) -> None:
        # Before it is read what is in cells: what comes into one until then is seen there.
        locked = accumulators.lock_outside(self._tx, named) if named else []
        for row in accumulators.in_cells(self._tx, cabinet_ids, named):
            place = Location(cabinet_id=row.pop("cabinet_id"), cell_number=row.pop("cell_number"))
            self._know(Accumulator(**row, place=place))
        for row in accumulators.outside(self._tx, locked) if locked else []:
            place = Location(
                contractor_id=row.pop("contractor_id"), scooter_id=row.pop("scooter_id")
            )
            issued_by = row["command_id"] if row["cause"] == "issued" else None
            known = {k: row[k] for k in Accumulator.__dataclass_fields__ if k in row}
            self._know(Accumulator(**known, place=place, issued_by=issued_by))

    def _load_bookings(self, cabinet_ids: list[str]) -> None:
        named = {c.booking_id for c in self.commands.values() if c.booking_id}
        for row in bookings.unfinished(self._tx, cabinet_ids, named):
            booking = self.bookings[row["booking_id"]] = Booking(**row)
            self._bookings_of.setdefault(booking.cabinet_id, []).append(booking)
        for row in bookings.cells_of(self._tx, self.bookings) if self.bookings else []:
            self.bookings[row["booking_id"]].holds[row["cell_number"]] = Hold(**row)

    # --- questions ----------------------------------------------------------------------------

    def not_locked(self, accumulator_ids: Collection[str]) -> set[str]:
        """The cabinets that these accumulators are in, and that have not been loaded."""
        known = (self.accumulators[i] for i in accumulator_ids if i in self.accumulators)
        return {a.place.cabinet_id for a in known if a.place.cabinet_id} - self.cabinets.keys()

    def occupant(self, cell: Cell) -> Accumulator | None:
        """The accumulator that is in the cell by the records."""
        return self._at.get((cell.cabinet_id, cell.cell_number))

    def in_doubt(self, cabinet_id: str, cell_number: int | None = None) -> list[Command]:
        """Unanswered commands that may have opened cells here, or this cell; oldest first."""
        return [
            command
            for command in self.commands.values()
            if command.cabinet_id == cabinet_id
            and command.status in IN_DOUBT
            and command.opens
            and (cell_number is None or cell_number in command.cells)
        ]

    def held(self, cabinet_id: str) -> list[tuple[Booking, Hold]]:
        """Unfinished holds of this cabinet, with their bookings."""
        return [
            (booking, hold)
            for booking in self._bookings_of.get(cabinet_id, ())
            for hold in booking.holds.values()
            if not hold.finished
        ]

    def opener(self, cell: Cell) -> Booking | None:
        """The booking whose unlock opened the cell's door, which has not been closed since."""
        command = self.commands.get(cell.opened_by) if cell.opened_by else None
        return self.booking_of(command) if command else None

    def booking_of(self, command: Command) -> Booking | None:
        """The booking whose cells the command is about."""
        return self.bookings.get(command.booking_id) if command.booking_id else None

    # --- changes ------------------------------------------------------------------------------

    def read(self, message: Row) -> None:
        """Begin with a message (device_id, cabinet_id, event_id, payload): notes are about it."""
        self._message = message

    def note(self, reason: str, detail: str = "") -> None:
        """Keep the message that is being read as an anomaly: a stable reason, and words for it.

        The words may repeat what a cabinet said: what a database cannot hold is left out.
        """
        words = detail.replace("\x00", "\\0")[:MAX_DETAIL]
        self.anomalies.append({**self._message, "reason": reason, "detail": words})

    def boot(self, cabinet: Cabinet, boot_id: str, *, answers: datetime | None) -> int:
        """The number of this generation; one heard of for the first time becomes the present.

        `answers`: when that was asked for which this message answers. Asked after another
        generation was heard of, it proves that this one is the later: its beginning had overtaken
        the other's on the way.
        """
        known = cabinet.boots.get(boot_id)
        since = cabinet.present_since
        alive = answers is not None and since is not None and answers > since
        if known is None or (known < cabinet.boot_no and alive):
            cabinet.boot_no += 1
            cabinet.boots[boot_id] = cabinet.boot_no
            cabinet.present_since = None  # from now on, and nothing was asked for later
            row = {"boot_id": boot_id, "boot_no": cabinet.boot_no}
            self._boots.append({"cabinet_id": cabinet.cabinet_id, **row})
        return cabinet.boots[boot_id]

    def register(self, accumulator_id: str) -> Accumulator:
        """An accumulator that nobody knew: quarantined, and nowhere until it is moved."""
        new = Accumulator(
            accumulator_id=accumulator_id,
            place=NOWHERE,
            battery_charge=None,
            state_of_health=None,
            status="quarantined",
        )
        self._registered.append({"accumulator_id": accumulator_id, "status": new.status})
        self._know(new)
        return new

    def move(self, accumulator: Accumulator, to: Location, cause: "Cause", **why: Any) -> None:
        """Change an accumulator's place; `why`: booking_id, command_id, discrepancy, reason."""
        at = (accumulator.place.cabinet_id or "", accumulator.place.cell_number or 0)
        if self._at.get(at) is accumulator:
            del self._at[at]
        accumulator.place = to
        accumulator.issued_by = why.get("command_id") if cause == "issued" else None
        accumulator.swapped = False
        self._moves.append(
            Move(accumulator_id=accumulator.accumulator_id, to=to, cause=cause, **why)
        )
        self._know(accumulator)

    def _know(self, accumulator: Accumulator) -> None:
        self.accumulators[accumulator.accumulator_id] = accumulator
        place = accumulator.place
        if place.cabinet_id and place.cell_number:
            self._at[place.cabinet_id, place.cell_number] = accumulator

    def save(self, heard: Collection[str]) -> list[Booking]:
        """Write every change; `heard`: cabinets that sent something. Bookings that want more."""
        tx, all_bookings = self._tx, self.bookings.values()
        all_cells = [cell for cabinet in self.cabinets.values() for cell in cabinet.cells.values()]
        cabinets.insert_boots(tx, self._boots)
        aside = ("boots", "cells", "present_since")
        cabinets.save(tx, [_row(self.cabinets[i], *aside) for i in sorted(heard)])
        cells.save(tx, [_row(cell) for cell in all_cells if cell.changed])
        accumulators.register(tx, self._registered)
        readings = [_row(a, "place") for a in self.accumulators.values() if a.changed]
        accumulators.save_readings(tx, readings)
        accumulators.move(tx, self._moves)
        holds = [hold for booking in all_bookings for hold in booking.holds.values()]
        bookings.save_cells(tx, [_row(hold) for hold in holds if hold.changed])
        bookings.save(tx, [_row(b, "holds") for b in all_bookings if b.changed])
        commands.save(tx, [_row(c) for c in self.commands.values() if c.changed])
        anomalies.insert(tx, self.anomalies)
        return [booking for booking in all_bookings if booking.wants_more]


def _row(record: Any, *without: str) -> Row:
    return {name: value for name, value in vars(record).items() if name not in without}
