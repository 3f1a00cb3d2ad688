"""Unlock: open the cells of a booking. The contract is docs/how-it-works.md, "Unlock"."""

import math
from dataclasses import dataclass
from uuid import UUID

from shared import db, holds
from shared.commands.report_state import ReportState
from shared.commands.unlock import Unlock as UnlockCommand
from shared.db import Row, Tx
from shared.errors import BookingExpired, BookingNotActive, BookingNotFound, CabinetNoAnswer
from shared.models.bookings import Booking, BookingCell
from shared.models.commands import CellResult, Command, Unlock
from shared.repo import bookings, cabinets, commands, returns
from shared.services import booking, dispatch
from shared.services.dispatch import Sender
from shared.states import COMMAND_IN_FLIGHT, COMMAND_UNSETTLED


@dataclass(frozen=True)
class NextStep:
    """What an unlock request has to do next."""

    command_id: UUID
    cabinet: Row
    existing: Row | None = None
    """The command's row, if it existed before."""
    new_command: UnlockCommand | None = None
    """A command that was inserted and has to be published."""
    is_unanswered: bool = False
    """The command had no result by its deadline: the cabinet has to be asked what it did."""


def open_cells(booking_id: UUID, sender: Sender) -> Unlock | Command:
    """Open the cells of a booking and return what the cabinet did.

    If that is not known after `sender.max_wait_s`, return the command: in flight, or without an
    answer while the cabinet is being asked what it did.

    Safe to retry: a retry returns the stored outcome of a settled command and waits for one that is
    in flight. A command without an answer is followed by a new one only after the cabinet has
    proved that it did not execute the first. Cells of a return that were closed with nothing
    inserted are opened again.
    """
    step = _decide(booking_id, sender)
    if step.is_unanswered:
        report = _ask_for_report(step, sender)
        step = _decide(booking_id, sender)
        if step.is_unanswered:
            if report["status"] in COMMAND_IN_FLIGHT:
                return _record(step.command_id)
            raise CabinetNoAnswer(command_id=step.command_id)
        sender = sender._replace(max_wait_s=_left_of(sender.max_wait_s, report))
    if step.new_command is not None:
        dispatch.publish(step.new_command, step.command_id, step.cabinet, sender)
    row = dispatch.wait(step.command_id, sender, known=step.existing)
    if row["status"] in COMMAND_IN_FLIGHT:
        return dispatch.record(row)
    return _response(row, booking_id)


def _decide(booking_id: UUID, sender: Sender) -> NextStep:
    with db.transaction() as tx:
        cabinet = cabinets.lock_of_booking(tx, booking_id)
        if cabinet is None:
            raise BookingNotFound
        found = booking.get(tx, booking_id)
        if found.status == "returning":
            return _reopen(tx, found, cabinet, sender)
        if found.status != "active":
            return _existing_command(tx, found, cabinet)
        booking.check_in_service(cabinet, sender.settings)
        fit = bookings.release_unfit(tx, booking_id)
        cells = holds.refill(
            tx, booking_id, fit, cabinet_id=found.cabinet_id, requested=found.requested
        )
        if cells:
            return _new_command(tx, found, cells, cabinet, sender)
    # Raised after the transaction, so that the failure of the booking is committed.
    raise BookingNotActive(detail="None of the booking's cells can be opened any more.")


def _existing_command(tx: Tx, found: Booking, cabinet: Row) -> NextStep:
    """Return the step for a booking that is not active: its stored command decides.

    Raises if there is none to return or to wait for.
    """
    if found.status == "expired":
        raise BookingExpired
    row = commands.get(tx, found.command_id) if found.command_id else None
    without_result = {"unresolved", "rejected", "not_executed", "not_published"}
    if row is None or row["status"] in without_result or found.status == "cancelled":
        raise BookingNotActive(detail=f"The booking is {found.status}.")
    if row["status"] == "no_answer":
        commands.time_out(tx, row["command_id"])  # nobody may have waited for it
    is_unanswered = row["status"] == "no_answer"
    return NextStep(row["command_id"], cabinet, row, is_unanswered=is_unanswered)


def _reopen(tx: Tx, found: Booking, cabinet: Row, sender: Sender) -> NextStep:
    """Send a new command for the cells of a return that were closed with nothing inserted.

    If there are none, handle the request like any other retry.
    """
    row = commands.get(tx, found.command_id) if found.command_id else None
    if row is not None and row["status"] not in COMMAND_UNSETTLED:
        cells = returns.cells_to_reopen(tx, found.booking_id)
        if cells:
            booking.check_in_service(cabinet, sender.settings)
            return _new_command(tx, found, cells, cabinet, sender)
    return _existing_command(tx, found, cabinet)


def _new_command(
    tx: Tx, found: Booking, cells: list[int], cabinet: Row, sender: Sender
) -> NextStep:
    command = UnlockCommand(cells=cells)
    command_id = dispatch.insert(
        tx, command, sender, cabinet_id=found.cabinet_id, booking_id=found.booking_id
    )
    if found.status == "returning":
        bookings.set_command(tx, found.booking_id, command_id)
    else:
        bookings.advance(tx, found.booking_id, "unlock_requested", command_id=command_id)
    return NextStep(command_id, cabinet, new_command=command)


def _ask_for_report(step: NextStep, sender: Sender) -> Row:
    """Ask for a state report and wait for it; if it proves anything, it settles the command.

    A caller that does not wait to the end may come again soon: one report in flight is enough.
    Return the row of the command that asks for it.
    """
    command = ReportState()
    cabinet_id = step.cabinet["cabinet_id"]
    command_id = None
    with db.transaction() as tx:
        if sender.max_wait_s is not None:
            command_id = commands.report_in_flight(tx, cabinet_id, step.command_id)
        is_new = command_id is None
        if command_id is None:
            command_id = dispatch.insert(tx, command, sender, cabinet_id=cabinet_id)
    if is_new:
        dispatch.publish(command, command_id, step.cabinet, sender)
    return dispatch.wait(command_id, sender)


def _left_of(max_wait_s: int | None, waited: Row) -> int | None:
    """Return what the wait for a command, which began when it was made, has left of the time."""
    if max_wait_s is None:
        return None
    whole: float = (waited["deadline"] - waited["created_at"]).total_seconds()
    left: float = max_wait_s - (whole - waited["seconds_left"])
    return max(0, math.floor(left))


def _record(command_id: UUID) -> Command:
    with db.statements() as tx:
        return dispatch.record(dispatch.get(tx, command_id))


def _response(row: Row, booking_id: UUID) -> Unlock:
    command = dispatch.outcome(row)
    with db.statements() as tx:
        found = booking.get(tx, booking_id)
    held = {cell.cell_number: cell for cell in found.cells if found.kind == "issue"}
    return Unlock(
        booking_id=booking_id,
        command_id=command.command_id,
        status=found.status,
        cells=[_with_held(cell, held.get(cell.cell_number)) for cell in command.cells],
        late=command.late,
    )


def _with_held(cell: CellResult, held: BookingCell | None) -> CellResult:
    """Add the held accumulator to a result in which the cabinet named none."""
    if held is None or cell.accumulator_id is not None:
        return cell
    return cell.model_copy(
        update={"accumulator_id": held.accumulator_id, "battery_charge": held.battery_charge}
    )
