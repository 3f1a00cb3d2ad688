"""What became of a command: its effects, exactly once, whoever says what it did.

Rules: docs/how-it-works.md, "Unlock". Nothing here reads or writes the database.
"""

from typing import Any, NamedTuple

from shared.messages import CommandCell, CommandResult
from shared.repo.accumulators import NOWHERE, Location
from shared.services.evidence import finish_return, may_have_left
from shared.services.records import (
    IN_DOUBT,
    Accumulator,
    Booking,
    Cabinet,
    Cell,
    Command,
    Hold,
)
from shared.services.world import World

_DOORS = {"opened": "open", "locked": "closed"}


class Outcome(NamedTuple):
    """What is known of a command's execution, from the cabinet or by inference."""

    cells: dict[int, CommandCell]
    position: tuple[int, int]
    """(boot_no, seq) of the message that it was learned from."""
    is_present: bool
    """Whether that message is of the cabinet's present generation."""
    refusal: str | None = None
    inferred: bool = False


def settle(world: World, cabinet: Cabinet, command: Command, outcome: Outcome) -> None:
    """Apply a command's outcome with all its effects. A command that is settled stays as it is."""
    if command.status not in {*IN_DOUBT, "not_executed", "not_published"}:
        return
    command.late = not outcome.inferred and command.status not in {"pending", "published"}
    command.inferred = outcome.inferred
    command.changed = True
    booking = world.booking_of(command)
    if outcome.refusal is not None:
        command.status, command.reason = "rejected", outcome.refusal
        if booking is not None:
            _advance(booking, command)
        return
    command.status = _status(command, outcome)
    if command.success in _DOORS:
        _apply_all(world, cabinet, command, outcome)
    command.result = [_row(outcome.cells[number]) for number in sorted(outcome.cells)]
    if booking is not None:
        _advance(booking, command)


def outcome_of(message: CommandResult, position: tuple[int, int], cabinet: Cabinet) -> Outcome:
    """What a cabinet's answer says."""
    refusal = message.reason or "invalid" if message.status == "rejected" else None
    return Outcome(
        cells={cell.cell_number: cell for cell in message.cells},
        position=position,
        is_present=position[0] == cabinet.boot_no,
        refusal="expired" if message.status == "expired" else refusal,
    )


def not_executed(world: World, command: Command) -> None:
    """It is proved that a command was not carried out: its booking may be unlocked again."""
    command.status, command.inferred, command.changed = "not_executed", True, True
    booking = world.booking_of(command)
    if booking is not None:
        _advance(booking, command)


def _status(command: Command, outcome: Outcome) -> str:
    """The command's status by its cells; a command without cells has simply been done."""
    if command.success is None or not command.cells:
        return "succeeded"
    known = [outcome.cells[number] for number in command.cells if number in outcome.cells]
    done = sum(cell.result == command.success for cell in known)
    if done == len(command.cells):
        return "succeeded"
    return "partially_succeeded" if done else "failed"


def _apply_all(world: World, cabinet: Cabinet, command: Command, outcome: Outcome) -> None:
    """Every cell that was asked for, and those that were not and moved all the same."""
    for number in command.cells:
        result = outcome.cells.setdefault(number, _no_result(number))
        _apply(world, cabinet, command, result, outcome)
    for number in sorted(outcome.cells.keys() - set(command.cells)):
        _unasked(world, cabinet, command, outcome.cells[number], outcome)


def _apply(
    world: World, cabinet: Cabinet, command: Command, result: CommandCell, outcome: Outcome
) -> None:
    """One cell that was asked for."""
    cell = cabinet.cells[result.cell_number]
    booking = world.booking_of(command)
    hold = booking.holds.get(cell.cell_number) if booking else None
    if result.result in _DOORS:
        newer = outcome.inferred or cabinet.position(cell) > outcome.position
        if result.result == "opened" and booking and hold and _open_hold(hold):
            _opened(world, cell, booking, hold, (command, result, newer))
        _move_door(world, cell, (command, result, newer), outcome)
        if booking and booking.kind == "issue":
            _leave_open(cell)
        if result.result == "opened" or not command.opens:
            return
    if result.result != "not_executed":
        cell.fail(result.result)
    if booking and hold and hold.state == "held" and booking.command_id == command.command_id:
        state = "released" if result.result == "not_executed" else "failed"
        hold.become(state, finished=True, reason=result.result)


def _open_hold(hold: Hold) -> bool:
    """Held still, or given up only because nobody knew whether the cell had opened."""
    return hold.state == "held" or (hold.state == "failed" and hold.reason == "unresolved")


def _opened(
    world: World,
    cell: Cell,
    booking: Booking,
    hold: Hold,
    learned: tuple[Command, CommandCell, bool],
) -> None:
    """A held cell opened: an issue hands its accumulator over, a return waits for one."""
    command, result, newer = learned
    if booking.kind == "return":
        if not hold.finished:
            hold.become("opened", finished=False)
        return
    left = _what_left(world, cell, hold, result)
    if left.issued_by not in {None, command.command_id}:
        hold.become("failed", finished=True, reason="moved")
        return
    back = newer and cell.door == "closed" and cell.reported_id == left.accumulator_id
    hold.become("opened", finished=True, reason="not_collected" if back else None)
    if back or world.occupant(cell) is not left:
        return  # newer evidence says where it is
    world.move(
        left,
        Location(contractor_id=booking.contractor_id),
        "issued",
        booking_id=booking.booking_id,
        command_id=command.command_id,
        discrepancy=left.accumulator_id != hold.accumulator_id,
    )


def _what_left(world: World, cell: Cell, hold: Hold, result: CommandCell) -> Accumulator:
    """The accumulator that was in the opened cell: the answer is the truth, if it says."""
    held = world.accumulators[hold.accumulator_id or ""]
    said = result.accumulator_id
    if not isinstance(said, str) or said in {"?", held.accumulator_id}:
        return held
    other = world.accumulators.get(said) or world.register(said)
    if world.occupant(cell) is held:
        world.move(held, NOWHERE, "reported", discrepancy=True)
    if world.occupant(cell) is None:
        here = Location(cabinet_id=cell.cabinet_id, cell_number=cell.cell_number)
        world.move(other, here, "reported", discrepancy=True)
    detail = f"cell {cell.cell_number}: {said} instead of {held.accumulator_id}"
    world.note("other_accumulator", detail)
    return other


def _move_door(
    world: World, cell: Cell, learned: tuple[Command, CommandCell, bool], outcome: Outcome
) -> None:
    """What the result says of the door, unless newer evidence has spoken."""
    command, result, newer = learned
    if not newer:
        cell.set(door=_DOORS[result.result] if outcome.is_present else "unknown")
        if outcome.is_present:
            cell.set(boot_no=outcome.position[0], seq=outcome.position[1])
    # Who had it open before is not forgotten while it is to be judged what left by that.
    known = cell.opened_by is not None and (newer or may_have_left(world, cell))
    if result.result == "opened" and not known:
        # Also when it is closed by now: where its accumulator went is still to be judged.
        cell.set(opened_by=command.command_id)


def _leave_open(cell: Cell) -> None:
    """What is still in an open cell has been handed over: it is about to be taken."""
    if cell.door != "closed" and cell.content == "occupied":
        cell.set(content="unknown", reported_id=None)


def _unasked(
    world: World, cabinet: Cabinet, command: Command, result: CommandCell, outcome: Outcome
) -> None:
    """A cell that nobody asked for: if it opened, what was in it left with the contractor."""
    world.note("cell_not_asked", f"cell {result.cell_number}: {result.result}")
    cell = cabinet.cells.get(result.cell_number)
    booking = world.booking_of(command)
    if cell is None or result.result != "opened":
        return
    newer = cabinet.position(cell) > outcome.position
    occupant = world.occupant(cell)
    if booking is not None and occupant is not None and not newer:
        world.move(
            occupant,
            Location(contractor_id=booking.contractor_id),
            "issued",
            booking_id=booking.booking_id,
            command_id=command.command_id,
            discrepancy=True,
        )
        _count_instead(booking, occupant, result)
    _move_door(world, cell, (command, result, newer), outcome)
    if booking is not None:
        _leave_open(cell)


def _count_instead(booking: Booking, given: Accumulator, result: CommandCell) -> None:
    """The accumulator of another cell counts for one that was to be issued and was not."""
    missed = [hold for hold in booking.holds.values() if hold.state == "failed"]
    if booking.kind == "issue" and missed:
        reason = f"cell {result.cell_number} opened instead"
        missed[0].become("opened", finished=True, reason=reason)
        missed[0].accumulator_id = given.accumulator_id
        missed[0].battery_charge = given.battery_charge


def _advance(booking: Booking, command: Command) -> None:
    """Move the booking on by what its cells have become."""
    if booking.status == "unlocking" and booking.command_id != command.command_id:
        return  # a later command is on its way
    if booking.status not in {"active", "unlocking", "failed"}:
        return
    if any(hold.done for hold in booking.holds.values()):
        _conclude(booking)
    elif booking.status == "unlocking":
        booking.become("active")
        booking.wants_more = all(hold.finished for hold in booking.holds.values())


def _conclude(booking: Booking) -> None:
    """Cells opened: an issue ends with that, a return waits for what is put into them."""
    holds = booking.holds.values()
    for hold in holds:
        if hold.state == "held":
            hold.become("released", finished=True, reason="not_opened")
    if booking.kind == "return" and booking.status != "failed":
        booking.become("returning")
        finish_return(booking)
        return
    done = sum(hold.done for hold in holds)
    short = done < booking.requested and done < len(holds)
    booking.become("partially_completed" if short else "completed")


def _no_result(cell_number: int) -> CommandCell:
    return CommandCell(cell_number=cell_number, result="no_result")


def _row(cell: CommandCell) -> dict[str, Any]:
    charge, id_ = cell.battery_charge, cell.accumulator_id
    return {
        "cell_number": cell.cell_number,
        "accumulator_id": id_ if isinstance(id_, str) else None,
        "battery_charge": charge if isinstance(charge, int) else None,
        "result": cell.result,
    }
