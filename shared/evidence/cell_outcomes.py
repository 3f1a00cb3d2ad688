"""Step 5, second part: apply a command's outcome to cells, holds and accumulators.

Rules: docs/how-it-works.md, "Unlock". Nothing here reads or writes the database.
"""

from typing import NamedTuple

from shared.evidence.claims import decide
from shared.evidence.records import Accumulator, Booking, Cabinet, Cell, Command, Hold, Position
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import CommandCell
from shared.values import NOWHERE, Location

_DOOR_AFTER = {"opened": "open", "locked": "closed"}


class CommandOutcome(NamedTuple):
    """What a command did, as the cabinet reported it or as it was inferred."""

    cells: dict[int, CommandCell]
    position: Position
    """The position of the message that reports it, or from which it was inferred."""
    is_current_boot: bool
    """That message belongs to the cabinet's current boot, and its number can be trusted."""
    refusal: str | None = None
    inferred: bool = False


class CellOutcome(NamedTuple):
    """What a command did to one cell."""

    command: Command
    cell: CommandCell
    superseded: bool
    """Newer evidence about the cell is stored already."""


def apply_to_cells(
    uow: UnitOfWork, cabinet: Cabinet, command: Command, outcome: CommandOutcome
) -> None:
    """Apply the results of the command's cells, then those of cells that it did not name.

    A command that moves no door has no effect on cells.
    """
    if command.success not in _DOOR_AFTER:
        return
    for number in command.cells:
        if number in outcome.cells and number in cabinet.cells:
            cell_outcome = _cell_outcome(cabinet, command, outcome.cells[number], outcome)
            _apply_to_cell(uow, cabinet, cell_outcome, outcome)
    for number in sorted(outcome.cells.keys() - set(command.cells)):
        result = outcome.cells[number]
        uow.add_anomaly("cell_not_asked", f"cell {number}: {result.result}")
        if result.result == "opened" and number in cabinet.cells:
            _apply_unasked(uow, cabinet, _cell_outcome(cabinet, command, result, outcome), outcome)


def _cell_outcome(
    cabinet: Cabinet, command: Command, result: CommandCell, outcome: CommandOutcome
) -> CellOutcome:
    position = cabinet.position(cabinet.cells[result.cell_number])
    return CellOutcome(command, result, superseded=position > outcome.position)


def _apply_to_cell(
    uow: UnitOfWork, cabinet: Cabinet, cell_outcome: CellOutcome, outcome: CommandOutcome
) -> None:
    """Apply the result of a cell that the command names."""
    command, result, superseded = cell_outcome
    # An inferred outcome comes from newer evidence, which has recorded the door already.
    cell_outcome = cell_outcome._replace(superseded=superseded or outcome.inferred)
    cell = cabinet.cells[result.cell_number]
    booking = uow.booking_of(command)
    hold = booking.holds.get(cell.cell_number) if booking else None
    if result.result in _DOOR_AFTER:
        if cell.health == "faulty" and cell.health_reason == command.result_of(cell.cell_number):
            cell.set(health="ok", health_reason=None)  # it works after all
        if result.result == "opened" and booking and hold:
            _open_hold(uow, cell, booking, hold, cell_outcome)
        _record_door(uow, cell, cell_outcome, outcome)
        if booking and booking.kind == "issue":
            _expect_collection(cell)
        if result.result == "opened" or not command.opens_doors:
            return
    if result.result != "not_executed":
        cell.mark_faulty(result.result)
    if booking and hold and hold.state == "held" and booking.command_id == command.command_id:
        event = "released" if result.result == "not_executed" else "not_opened"
        uow.advance_hold(booking, hold, event, reason=result.result)


def _open_hold(
    uow: UnitOfWork, cell: Cell, booking: Booking, hold: Hold, cell_outcome: CellOutcome
) -> None:
    """A held cell opened: an issue's accumulator goes to the contractor, a return waits for one."""
    command, result, superseded = cell_outcome
    stored = command.result_of(cell.cell_number)
    if not hold.may_open_after(stored):
        return
    if booking.kind == "return":
        is_free = uow.is_free_to_hold(cell, hold) and uow.accumulator_in(cell) is None
        is_waiting = booking.status in {"active", "unlocking", "returning"}
        if is_waiting and (hold.state == "held" or is_free):
            uow.advance_hold(booking, hold, "opened")
        return
    issued = _issued_accumulator(uow, cell, hold, result)
    if issued.issued_by not in {None, command.command_id}:
        if hold.state == "held":
            uow.advance_hold(booking, hold, "not_opened", reason="moved")
        else:
            hold.set(reason="moved")
        return
    # Evidence contradicts the result that the cabinet reported.
    is_correction = stored is not None and command.inferred
    not_collected = (
        superseded and cell.door == "closed" and cell.reported_id == issued.accumulator_id
    )
    if not_collected and booking.command_id != command.command_id:
        return  # a later command may open the cell: it stays held
    uow.advance_hold(booking, hold, "opened", reason="not_collected" if not_collected else None)
    has_vanished = stored is not None and issued.place == NOWHERE
    if not_collected or not (uow.accumulator_in(cell) is issued or has_vanished):
        return  # newer evidence has recorded where it is
    uow.quarantine_found(issued, cell)
    uow.move(
        issued,
        Location(contractor_id=booking.contractor_id),
        "issued",
        booking_id=booking.booking_id,
        command_id=command.command_id,
        discrepancy=issued.accumulator_id != hold.accumulator_id or is_correction,
    )


def _issued_accumulator(
    uow: UnitOfWork, cell: Cell, hold: Hold, result: CommandCell
) -> Accumulator:
    """Return the accumulator that was in the opened cell: what the cabinet says has precedence.

    Unless it names what others hold, and that is held back.
    """
    held = uow.accumulators[hold.accumulator_id or ""]
    reported_id = result.accumulator_id
    if reported_id in {None, "?", held.accumulator_id}:
        return held
    other = uow.accumulators.get(reported_id) or uow.register(reported_id, cell)
    if other is None:
        return held
    decision = decide(uow, cell, other, is_expected=False)
    if decision.is_held_back:
        return held
    if uow.accumulator_in(cell) is held:
        uow.move(held, NOWHERE, "reported", discrepancy=True)
    if uow.accumulator_in(cell) is None:
        uow.quarantine_found(other, cell)
        uow.move(other, cell.location, "reported", discrepancy=True, reason=decision.reason)
    detail = f"cell {cell.cell_number}: {reported_id} instead of {held.accumulator_id}"
    uow.add_anomaly("other_accumulator", detail, accumulator_id=reported_id)
    return other


def _record_door(
    uow: UnitOfWork, cell: Cell, cell_outcome: CellOutcome, outcome: CommandOutcome
) -> None:
    """Record what the result reports about the door, unless newer evidence is stored."""
    command, result, superseded = cell_outcome
    if not superseded and outcome.is_current_boot:
        cell.set(door=_DOOR_AFTER[result.result])
        cell.set(boot_no=outcome.position[0], seq=outcome.position[1])
    elif not superseded:
        cell.set(door="unknown")
    # The command that opened the door before stays recorded until the departure it caused is.
    keeps_opener = cell.opened_by is not None and (superseded or uow.differs_from_records(cell))
    if result.result == "opened" and not keeps_opener:
        # Even if the door is closed by now: its accumulator's departure is still to be recorded.
        cell.set(opened_by=command.command_id)


def _expect_collection(cell: Cell) -> None:
    """The accumulator in an open cell was issued and is about to be taken out."""
    if cell.door != "closed" and cell.content == "occupied":
        cell.set(content="unknown", reported_id=None)


def _apply_unasked(
    uow: UnitOfWork, cabinet: Cabinet, cell_outcome: CellOutcome, outcome: CommandOutcome
) -> None:
    """A cell opened that the command does not name: its accumulator left with the contractor."""
    command, result, superseded = cell_outcome
    cell = cabinet.cells[result.cell_number]
    booking, occupant = uow.booking_of(command), uow.accumulator_in(cell)
    if booking is not None and occupant is not None and not superseded:
        uow.move(
            occupant,
            Location(contractor_id=booking.contractor_id),
            "issued",
            booking_id=booking.booking_id,
            command_id=command.command_id,
            discrepancy=True,
        )
        _count_as_issued(uow, booking, occupant, result)
    _record_door(uow, cell, cell_outcome, outcome)
    if booking is not None:
        _expect_collection(cell)


def _count_as_issued(
    uow: UnitOfWork, booking: Booking, issued: Accumulator, result: CommandCell
) -> None:
    """Count the accumulator from an unnamed cell in place of one whose held cell failed."""
    failed = [hold for hold in booking.holds.values() if hold.state == "failed"]
    if booking.kind == "issue" and failed:
        hold, reason = failed[0], f"cell {result.cell_number} opened instead"
        uow.advance_hold(booking, hold, "opened", reason=reason)
        hold.set(accumulator_id=issued.accumulator_id, battery_charge=issued.battery_charge)
