"""The unit of work over locked cabinets: loads everything, tracks changes, writes them in one pass.

It takes a handful of statements, whatever the number of messages. The cabinets' row locks protect
what it loads; accumulators outside cells are locked one by one, since a swap or a transfer may move
them too.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared import states
from shared.db import Row, Tx
from shared.evidence.records import (
    Accumulator,
    Booking,
    Cabinet,
    Cell,
    Command,
    Hold,
    Limits,
    StatefulRecord,
)
from shared.repo import accumulators, anomalies, bookings, cabinets, cells, claims, commands
from shared.repo.accumulators import Move
from shared.states import IllegalTransition
from shared.values import NOWHERE, Location

if TYPE_CHECKING:
    from shared.models.accumulators import Cause

MAX_DETAIL = 300
"""Longest detail of an anomaly, in characters."""

MAX_BOOTS = 1000
"""Boots of one device that are kept: years of ordinary power cuts. See `order.place`."""


class UnitOfWork:
    """Everything that a batch of messages can change, loaded once and saved once."""

    def __init__(self, tx: Tx, limits: Limits) -> None:
        self._tx = tx
        self.limits = limits
        self.cabinets: dict[str, Cabinet] = {}
        self.accumulators: dict[str, Accumulator] = {}
        self.bookings: dict[UUID, Booking] = {}
        self.commands: dict[UUID, Command] = {}
        self.anomalies: list[Row] = []
        self._bookings_by_cabinet: dict[str, list[Booking]] = {}
        self._accumulator_by_cell: dict[tuple[str, int], Accumulator] = {}
        self._message: Row = {}
        self._sent_after: datetime | None = None
        self._moves: list[Move] = []
        self._registered: list[Row] = []
        self._boots: dict[tuple[str, str], Row] = {}

    # --- load ---------------------------------------------------------------------------------

    def load(
        self,
        locked: list[Row],
        *,
        named: Mapping[str, Collection[str]],
        boot_ids: Collection[str],
        command_ids: Collection[UUID],
        reconcile_seconds: float,
    ) -> None:
        """Load all that belongs to the `locked` cabinets, and what the messages name besides.

        `named`: the accumulators that the messages of each cabinet name.
        Of settled commands only those of the last `reconcile_seconds` can still be corrected by
        evidence. A second call replaces what the first one loaded.
        """
        tx, cabinet_ids = self._tx, [row["cabinet_id"] for row in locked]
        self._clear()
        for row in locked:
            fields = {name: row[name] for name in Cabinet.__dataclass_fields__ if name in row}
            self.cabinets[row["cabinet_id"]] = Cabinet(**fields)
        for row in cabinets.boots(tx, cabinet_ids, boot_ids):
            cabinet = self.cabinets[row["cabinet_id"]]
            cabinet.boots[row["boot_id"]] = row["boot_no"]
            cabinet.restart_seqs[row["boot_id"]] = row["restart_seq"]
            if row["is_current"]:
                cabinet.booted_at = row["first_seen_at"]
        openers = set()
        for row in cells.of_cabinets(tx, cabinet_ids):
            self.cabinets[row["cabinet_id"]].cells[row["cell_number"]] = Cell(**row)
            openers |= {row["opened_by"]} - {None}
        wanted = {*command_ids, *openers}
        for row in commands.correctable(tx, cabinet_ids, wanted, reconcile_seconds):
            self.commands[row["command_id"]] = Command(**row)
        self._load_bookings(cabinet_ids)
        # A held accumulator may be elsewhere by now: moved by a swap, a person, another cabinet.
        holds = (hold for booking in self.bookings.values() for hold in booking.holds.values())
        held = {hold.accumulator_id for hold in holds if hold.accumulator_id is not None}
        self._load_accumulators(cabinet_ids, held.union(*named.values()))
        self._load_limits(named)

    def _clear(self) -> None:
        for loaded in (
            self.cabinets,
            self.accumulators,
            self.bookings,
            self.commands,
            self._bookings_by_cabinet,
            self._accumulator_by_cell,
        ):
            loaded.clear()

    def _load_bookings(self, cabinet_ids: list[str]) -> None:
        named = {c.booking_id for c in self.commands.values() if c.booking_id}
        for row in bookings.unfinished(self._tx, cabinet_ids, named):
            booking = self.bookings[row["booking_id"]] = Booking(**row)
            self._bookings_by_cabinet.setdefault(booking.cabinet_id, []).append(booking)
        for row in bookings.cells_of(self._tx, self.bookings) if self.bookings else []:
            self.bookings[row["booking_id"]].holds[row["cell_number"]] = Hold(**row)

    def _load_accumulators(self, cabinet_ids: list[str], named: Collection[str]) -> None:
        # Locked before the cells are read: one that enters a cell until then is found in the cell.
        locked = accumulators.lock_outside(self._tx, named) if named else []
        for row in accumulators.in_cells(self._tx, cabinet_ids, named):
            place = Location(cabinet_id=row.pop("cabinet_id"), cell_number=row.pop("cell_number"))
            self._add(Accumulator(**row, place=place))
        for row in accumulators.outside(self._tx, locked) if locked else []:
            place = Location(
                contractor_id=row.pop("contractor_id"), scooter_id=row.pop("scooter_id")
            )
            issued_by = row["command_id"] if row["cause"] == "issued" else None
            fields = {k: row[k] for k in Accumulator.__dataclass_fields__ if k in row}
            self._add(Accumulator(**fields, place=place, issued_by=issued_by))

    def _load_limits(self, named: Mapping[str, Collection[str]]) -> None:
        """Load how much the senders have claimed and found lately, if they name more of it."""
        places = {i: a.place for i, a in self.accumulators.items()}
        others = {
            sender: [i for i in ids if places.get(i, NOWHERE)[0] not in {None, sender}]
            for sender, ids in named.items()
        }
        taken = [i for ids in others.values() for i in ids]
        claiming = [
            sender
            for sender, ids in named.items()
            if others[sender] or any(places.get(i, NOWHERE)[2:] != NOWHERE[2:] for i in ids)
        ]
        finding = [sender for sender, ids in named.items() if not places.keys() >= {*ids}]
        for cabinet_id, ids in (claims.recent(self._tx, claiming) if claiming else {}).items():
            self.cabinets[cabinet_id].claimed = ids
        for accumulator_id, source in (claims.sources(self._tx, taken) if taken else {}).items():
            self.accumulators[accumulator_id].taken_from = source
        for row in accumulators.found_today(self._tx, finding) if finding else []:
            self.cabinets[row["cabinet_id"]].found = row["found"]

    # --- queries ------------------------------------------------------------------------------

    def cabinets_to_lock(self, accumulator_ids: Collection[str]) -> set[str]:
        """Return the cabinets that hold any of these accumulators and are not loaded."""
        found = (self.accumulators[i] for i in accumulator_ids if i in self.accumulators)
        return {a.place.cabinet_id for a in found if a.place.cabinet_id} - self.cabinets.keys()

    def accumulator_in(self, cell: Cell) -> Accumulator | None:
        """Return the accumulator that is in the cell according to the records."""
        return self._accumulator_by_cell.get((cell.cabinet_id, cell.cell_number))

    def unsettled_unlocks(self, cabinet_id: str, cell_number: int | None = None) -> list[Command]:
        """Return unsettled commands that may have opened cells, or this cell; oldest first."""
        return [
            command
            for command in self.commands.values()
            if command.cabinet_id == cabinet_id
            and command.is_unsettled
            and command.opens_doors
            and (cell_number is None or cell_number in command.cells)
        ]

    def may_have_been_opened(self, cell: Cell) -> bool:
        """Whether a command of ours opened the cell's door, or may have opened it."""
        unsettled = self.unsettled_unlocks(cell.cabinet_id, cell.cell_number)
        return cell.opened_by is not None or bool(unsettled or self.failed_opening(cell))

    def failed_opening(self, cell: Cell) -> Command | None:
        """Return the cell's last command, if it is recent and said that the door did not open."""
        of_cell = [
            command
            for command in self.commands.values()
            if command.cabinet_id == cell.cabinet_id and cell.cell_number in command.cells
        ]
        last = of_cell[-1] if of_cell else None
        return last if last and last.is_recent and last.has_failed_to_open(cell) else None

    def differs_from_records(self, cell: Cell) -> bool:
        """Whether the accumulator that the records have in the cell is not what the cell reports.

        Its departure is still to be recorded.
        """
        recorded = self.accumulator_in(cell)
        return (
            recorded is not None
            and cell.has_known_content
            and recorded.accumulator_id != cell.reported_id
        )

    def unfinished_holds(self, cabinet_id: str) -> list[tuple[Booking, Hold]]:
        """Return this cabinet's unfinished holds, each with its booking."""
        return [
            (booking, hold)
            for booking in self._bookings_by_cabinet.get(cabinet_id, ())
            for hold in booking.holds.values()
            if not hold.finished
        ]

    def is_free_to_hold(self, cell: Cell, hold: Hold) -> bool:
        """Whether no other unfinished hold than this one has the cell."""
        return all(
            other is hold or other.cell_number != cell.cell_number
            for _, other in self.unfinished_holds(cell.cabinet_id)
        )

    def settled_commands(self) -> list[UUID]:
        """Return the commands whose outcome was changed."""
        changed = (command for command in self.commands.values() if command.changed)
        return [c.command_id for c in changed if c.status not in states.COMMAND_IN_FLIGHT]

    def booking_that_opened(self, cell: Cell) -> Booking | None:
        """Return the booking whose unlock opened the door, until it is reported closed."""
        command = self.commands.get(cell.opened_by) if cell.opened_by else None
        return self.booking_of(command) if command else None

    def booking_of(self, command: Command) -> Booking | None:
        """Return the booking that the command is for, if it is for one."""
        return self.bookings.get(command.booking_id) if command.booking_id else None

    def is_outdated(self, cell: Cell, *, by: Cell) -> bool:
        """Whether the current message, which reports `cell`, is older than what `by` reported.

        Only if they are in different cabinets, whose messages have no common order.
        """
        applied_at = self.cabinets[by.cabinet_id].applied_at
        is_older = applied_at and self._sent_after and self._sent_after <= applied_at
        return cell.cabinet_id != by.cabinet_id and bool(is_older)

    # --- changes ------------------------------------------------------------------------------

    def start_message(self, message: Row) -> None:
        """Start a message (device_id, cabinet_id, event_id, payload): anomalies refer to it."""
        self._message = message
        self._sent_after = None

    def set_age(self, received_at: datetime | None, asked_at: datetime | None) -> None:
        """Set when the current message was received, and when it was asked for, if it was.

        The first is by the bridge's clock, the second by the database's. A bridge whose clock is
        slow so makes an unasked message look too old, but not the answer to a poll.
        """
        times = (time for time in (received_at, asked_at) if time is not None)
        self._sent_after = max(times, default=None)

    def add_anomaly(
        self, reason: str, detail: str = "", *, accumulator_id: str | None = None
    ) -> None:
        """Keep the current message as an anomaly: a stable reason, and details for people.

        `detail` may repeat what a cabinet sent: NUL, which PostgreSQL cannot store, is replaced.
        """
        text = detail.replace("\x00", "\\0")[:MAX_DETAIL]
        concerned = {"reason": reason, "detail": text, "accumulator_id": accumulator_id}
        self.anomalies.append({**self._message, **concerned})

    def advance(self, record: StatefulRecord, event: str) -> bool:
        """Move a record to its next state.

        An illegal transition changes nothing and becomes an anomaly. Return False then.
        """
        try:
            record.advance(event)
        except IllegalTransition as error:
            self.add_anomaly("illegal_transition", str(error))
            return False
        return True

    def advance_hold(
        self, booking: Booking, hold: Hold, event: str, *, reason: str | None = None
    ) -> None:
        """Move a booking's cell to its next state. An opened cell of an issue is finished."""
        if not self.advance(hold, event):
            return
        ends_issue = booking.kind == "issue" and hold.state == "opened"
        finished = hold.state in hold.machine.final or ends_issue
        hold.set(finished=finished, reason=reason)

    def has_folded_boots(self, cabinet: Cabinet) -> bool:
        """Whether the device has had more boots than are kept: an unknown one may be an old one."""
        return cabinet.boot_no - cabinet.device_boot_no >= MAX_BOOTS

    def start_boot(self, cabinet: Cabinet, boot_id: str, *, restart_seq: int | None = None) -> None:
        """Make a boot the current one: it is new, or an earlier one, or its numbering restarted."""
        cabinet.boot_no += 1
        cabinet.boots[boot_id] = cabinet.boot_no
        if restart_seq is not None:
            cabinet.restart_seqs[boot_id] = restart_seq
        cabinet.booted_at = None  # in this batch: after the creation of any command it answers
        self._boots[cabinet.cabinet_id, boot_id] = {
            "cabinet_id": cabinet.cabinet_id,
            "boot_id": boot_id,
            "boot_no": cabinet.boot_no,
            "restart_seq": cabinet.restart_seqs.get(boot_id),
        }

    def register(self, accumulator_id: str, cell: Cell) -> Accumulator | None:
        """Register an unknown accumulator that the cell's cabinet reports; nowhere until moved.

        It is quarantined, unless the cabinet is enrolling. None if the cabinet has had too many
        registered today: it stays unknown until a later report.
        """
        cabinet = self.cabinets[cell.cabinet_id]
        if cabinet.found >= max(self.limits.unknown_per_day, cabinet.cells_total):
            self.add_anomaly("too_many_unknown", f"more than {cabinet.found} in 24 hours")
            return None
        cabinet.found += 1
        is_enrolled = cabinet.is_enrolling
        new = Accumulator(
            accumulator_id=accumulator_id,
            place=NOWHERE,
            battery_charge=None,
            state_of_health=None,
            status="in_service" if is_enrolled else "quarantined",
            is_unknown=not is_enrolled,
        )
        self._registered.append(
            {
                "accumulator_id": accumulator_id,
                "status": new.status,
                "is_unknown": new.is_unknown,
                "reason": "enrolled" if is_enrolled else None,
                "found_by": cabinet.cabinet_id,
            }
        )
        self._add(new)
        return new

    def quarantine_found(self, accumulator: Accumulator, cell: Cell) -> None:
        """An accumulator that an operator gave up was in the cell: it is quarantined."""
        if accumulator.status in {"missing", "retired"}:
            id_ = accumulator.accumulator_id
            detail = f"cell {cell.cell_number}: {id_}"
            self.add_anomaly(f"{accumulator.status}_found", detail, accumulator_id=id_)
            self.advance(accumulator, "quarantined")

    def move(self, accumulator: Accumulator, to: Location, cause: "Cause", **details: Any) -> None:
        """Change an accumulator's place.

        `details`: booking_id, command_id, discrepancy, reason of the movement in the ledger.
        """
        cell = (accumulator.place.cabinet_id or "", accumulator.place.cell_number or 0)
        if self._accumulator_by_cell.get(cell) is accumulator:
            del self._accumulator_by_cell[cell]
        accumulator.place = to
        accumulator.issued_by = details.get("command_id") if cause == "issued" else None
        accumulator.moved_on_since = accumulator.is_declared = False
        accumulator.taken_from = None
        if details.get("reason") in claims.REASONS:
            accumulator.taken_from = cell[0] or None
        self._moves.append(
            Move(accumulator_id=accumulator.accumulator_id, to=to, cause=cause, **details)
        )
        self._add(accumulator)

    def _add(self, accumulator: Accumulator) -> None:
        self.accumulators[accumulator.accumulator_id] = accumulator
        place = accumulator.place
        if place.cabinet_id and place.cell_number:
            self._accumulator_by_cell[place.cabinet_id, place.cell_number] = accumulator

    # --- save ---------------------------------------------------------------------------------

    def save(self, senders: Collection[str]) -> list[Row] | None:
        """Write every change. `senders`: the cabinets that sent a message.

        Return the anomalies that are new; None if another transaction has registered one of the
        unknown accumulators meanwhile: then nothing counts, and the batch must be applied again.
        """
        tx, all_bookings = self._tx, self.bookings.values()
        all_cells = [cell for cabinet in self.cabinets.values() for cell in cabinet.cells.values()]
        holds = [hold for booking in all_bookings for hold in booking.holds.values()]
        if len(accumulators.register(tx, self._registered)) < len(self._registered):
            return None
        cabinets.insert_boots(tx, [*self._boots.values()], kept=MAX_BOOTS)
        nested = ("boots", "restart_seqs", "cells", "booted_at", "reported_at", "claimed")
        cabinets.save(tx, [_row(self.cabinets[i], *nested) for i in sorted(senders)])
        cells.save(tx, [_row(cell, "reported_at") for cell in all_cells if cell.changed])
        readings = [_row(a, "place") for a in self.accumulators.values() if a.changed]
        accumulators.save_readings(tx, readings)
        accumulators.move(tx, self._moves)
        bookings.save_cells(tx, [_row(hold) for hold in holds if hold.changed])
        bookings.save(tx, [_row(b, "holds") for b in all_bookings if b.changed])
        commands.save(tx, [_row(c) for c in self.commands.values() if c.changed])
        return anomalies.add(tx, self.anomalies)


def _row(record: Any, *excluded_fields: str) -> Row:
    return {name: value for name, value in vars(record).items() if name not in excluded_fields}
