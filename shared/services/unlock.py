"""Unlock: open the cells of a booking. The contract is docs/how-it-works.md, "Unlock"."""

from dataclasses import dataclass
from uuid import UUID

from shared import db
from shared.commands.report_state import ReportState
from shared.commands.unlock import Unlock as UnlockCommand
from shared.config import Settings
from shared.db import Row, Tx
from shared.errors import BookingExpired, BookingNotActive, BookingNotFound, CabinetNoAnswer
from shared.models.bookings import Booking, BookingCell
from shared.models.commands import CellResult, Unlock
from shared.repo import bookings, cabinets, commands
from shared.services import booking, dispatch, holds
from shared.services.dispatch import Publisher


@dataclass(frozen=True)
class Asker:
    """Who asks, and what there is to answer with."""

    publisher: Publisher
    settings: Settings
    requested_by: str


@dataclass(frozen=True)
class Step:
    """What is to be done about a booking's cells next."""

    command_id: UUID
    cabinet: Row
    send: UnlockCommand | None = None
    """A command that was written down and is to be published."""
    in_doubt: bool = False
    """The command had no answer: the cabinet has to be asked what it did."""


def open_cells(booking_id: UUID, asker: Asker) -> Unlock:
    """Open the cells of a booking, and tell what the cabinet did.

    Asking again is safe: a command that was answered gives its stored answer, one on its way is
    waited for, and one without an answer is followed by another only once the cabinet has proved
    that it did not carry it out.
    """
    step = _decide(booking_id, asker)
    if step.in_doubt:
        _ask_cabinet(step, asker)
        step = _decide(booking_id, asker)
        if step.in_doubt:
            raise CabinetNoAnswer(command_id=step.command_id)
    if step.send is not None:
        dispatch.deliver(step.send, step.command_id, step.cabinet, asker.publisher, asker.settings)
    return _answer(dispatch.wait(step.command_id), booking_id)


def _decide(booking_id: UUID, asker: Asker) -> Step:
    with db.transaction() as tx:
        cabinet = cabinets.lock_of_booking(tx, booking_id)
        if cabinet is None:
            raise BookingNotFound
        found = booking.get(tx, booking_id)
        if found.status != "active":
            return _existing(tx, found, cabinet)
        booking.check_in_service(cabinet, asker.settings)
        fit = bookings.release_unfit(tx, booking_id)
        cells = holds.refill(
            tx, booking_id, fit, cabinet_id=found.cabinet_id, requested=found.requested
        )
        if cells:
            return _new(tx, found, cells, cabinet, asker)
    # Only now, so that the booking's failure is committed.
    raise BookingNotActive(detail="Nothing that the booking held can be opened any more.")


def _existing(tx: Tx, found: Booking, cabinet: Row) -> Step:
    """The step for a booking whose cells were commanded open, or never will be."""
    if found.status == "expired":
        raise BookingExpired
    row = commands.get(tx, found.command_id) if found.command_id else None
    if row is None or row["status"] in {"unresolved", "rejected", "not_executed", "not_published"}:
        raise BookingNotActive(detail=f"The booking is {found.status}.")
    if row["status"] in dispatch.UNSETTLED and row["seconds_left"] <= 0:
        commands.give_up(tx, row["command_id"])
        row = {**row, "status": "no_answer"}
    return Step(row["command_id"], cabinet, in_doubt=row["status"] == "no_answer")


def _new(tx: Tx, found: Booking, cells: list[int], cabinet: Row, asker: Asker) -> Step:
    command = UnlockCommand(cells=cells)
    command_id = dispatch.insert(
        tx,
        command,
        asker.settings,
        cabinet_id=found.cabinet_id,
        booking_id=found.booking_id,
        requested_by=asker.requested_by,
    )
    bookings.move_on(tx, found.booking_id, since="active", to="unlocking", command_id=command_id)
    return Step(command_id, cabinet, send=command)


def _ask_cabinet(step: Step, asker: Asker) -> None:
    """Ask for a state report and wait: it settles what can be settled when it comes."""
    command = ReportState()
    with db.transaction() as tx:
        command_id = dispatch.insert(
            tx,
            command,
            asker.settings,
            cabinet_id=step.cabinet["cabinet_id"],
            requested_by=asker.requested_by,
        )
    dispatch.deliver(command, command_id, step.cabinet, asker.publisher, asker.settings)
    dispatch.wait(command_id)


def _answer(row: Row, booking_id: UUID) -> Unlock:
    command = dispatch.answer(row)
    with db.statements() as tx:
        found = booking.get(tx, booking_id)
    held = {cell.cell_number: cell for cell in found.cells if found.kind == "issue"}
    return Unlock(
        booking_id=booking_id,
        command_id=command.command_id,
        status=found.status,
        cells=[_completed(cell, held.get(cell.cell_number)) for cell in command.cells],
        late=command.late,
    )


def _completed(cell: CellResult, held: BookingCell | None) -> CellResult:
    """The cabinet's words, completed by what was held where it does not say."""
    if held is None or cell.accumulator_id is not None:
        return cell
    return cell.model_copy(
        update={"accumulator_id": held.accumulator_id, "battery_charge": held.battery_charge}
    )
