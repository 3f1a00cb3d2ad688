"""Step 5: settle commands. Apply a command's outcome, exactly once, whoever reports it.

Rules: docs/how-it-works.md, "Unlock". Nothing here reads or writes the database.
"""

from collections.abc import Mapping

from shared.db import Row
from shared.evidence.cell_outcomes import CommandOutcome, apply_to_cells
from shared.evidence.order import Place
from shared.evidence.records import Booking, Cabinet, Command
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import CommandCell, CommandResult
from shared.states import COMMAND_IN_FLIGHT


def outcome_of(message: CommandResult, placed: Place) -> CommandOutcome:
    """Return the outcome that a command result reports."""
    refusal = message.reason or "invalid" if message.status == "rejected" else None
    return CommandOutcome(
        cells={cell.cell_number: cell for cell in message.cells},
        position=placed.position,
        is_current_boot=placed.is_current,
        refusal="expired" if message.status == "expired" else refusal,
    )


def settle(uow: UnitOfWork, cabinet: Cabinet, command: Command, outcome: CommandOutcome) -> None:
    """Apply an outcome with all its effects, exactly once.

    A cell's result `opened` is final. Any other can still become `opened`: by a later part of the
    command result, by a correction, or by evidence.
    """
    if command.is_unsettled or command.status in {"not_executed", "not_published"}:
        _settle_first(uow, cabinet, command, outcome)
    else:
        _settle_further(uow, cabinet, command, outcome)


def _settle_first(
    uow: UnitOfWork, cabinet: Cabinet, command: Command, outcome: CommandOutcome
) -> None:
    opened_after_all = outcome.inferred and command.status == "not_executed"
    is_late = not outcome.inferred and command.status not in COMMAND_IN_FLIGHT
    command.late = is_late or opened_after_all
    command.inferred = outcome.inferred
    if outcome.refusal is not None:
        command.reason = outcome.refusal
        uow.advance(command, "rejected")
    else:
        for number in command.cells:
            no_result = CommandCell(cell_number=number, result="no_result")
            outcome.cells.setdefault(number, no_result)
        uow.advance(command, _event_of(command, {n: c.result for n, c in outcome.cells.items()}))
        apply_to_cells(uow, cabinet, command, outcome)
        command.result = [outcome.cells[number].model_dump() for number in sorted(outcome.cells)]
    _advance_booking(uow, command)


def _settle_further(
    uow: UnitOfWork, cabinet: Cabinet, command: Command, outcome: CommandOutcome
) -> None:
    """Apply what an outcome says beyond the stored result: cells that opened after all."""
    stored = {row["cell_number"]: row for row in command.result}
    new = {n: c for n, c in outcome.cells.items() if _is_news(command, stored.get(n), c)}
    if not new:
        return
    opened = {n: cell for n, cell in new.items() if cell.result == command.success}
    if opened:
        command.late = True
        command.inferred = command.inferred or outcome.inferred
        apply_to_cells(uow, cabinet, command, outcome._replace(cells=opened))
    merged = {**stored, **{n: cell.model_dump() for n, cell in new.items()}}
    event = _event_of(command, {n: row["result"] for n, row in merged.items()})
    has_done_more = opened and event != "none_done"
    if has_done_more and command.machine.move(event)["target"] != command.status:
        uow.advance(command, event)
    command.set(result=[merged[number] for number in sorted(merged)])
    _advance_booking(uow, command)


def _is_news(command: Command, stored: Row | None, cell: CommandCell) -> bool:
    """Whether a cell's result adds to the stored one."""
    if stored is None:
        return cell.result == command.success
    is_first_word = stored["result"] == "no_result" != cell.result
    return stored["result"] != command.success and (cell.result == command.success or is_first_word)


def settle_as_not_executed(uow: UnitOfWork, command: Command, *, is_answered: bool) -> None:
    """Record the proof that a command was not executed: its booking can be unlocked again.

    `is_answered`: the report that answers this command is the proof. The cabinet has received the
    command, so its doors may still open.
    """
    command.inferred = True
    if is_answered:
        cells = [CommandCell(cell_number=n, result="not_executed") for n in command.cells]
        command.set(result=[cell.model_dump() for cell in cells])
    uow.advance(command, "proved_not_executed")
    _advance_booking(uow, command)


def finish_return(uow: UnitOfWork, booking: Booking) -> None:
    """End a return in which no cell waits for an accumulator any more."""
    holds = booking.holds.values()
    if booking.status == "returning" and all(hold.finished for hold in holds):
        all_inserted = all(hold.state in {"inserted", "released"} for hold in holds)
        uow.advance(booking, "all_inserted" if all_inserted else "some_inserted")


def _event_of(command: Command, results: Mapping[int, str]) -> str:
    """Return the event that follows from the cells' results; without cells the command is done."""
    if command.success is None or not command.cells:
        return "all_done"
    done = sum(results.get(number) == command.success for number in command.cells)
    if done == len(command.cells):
        return "all_done"
    return "some_done" if done else "none_done"


def _advance_booking(uow: UnitOfWork, command: Command) -> None:
    """Advance the command's booking according to the states of its holds."""
    booking = uow.booking_of(command)
    if booking is None:
        return
    if booking.status == "partially_completed" and booking.kind == "issue":
        if sum(hold.is_opened for hold in booking.holds.values()) >= booking.requested:
            uow.advance(booking, "all_opened")
        return
    if booking.status not in {"active", "unlocking", "failed"}:
        return
    if booking.status == "unlocking" and booking.command_id != command.command_id:
        return  # a later command is in flight
    if any(hold.is_opened for hold in booking.holds.values()):
        _conclude(uow, booking)
    elif booking.status == "unlocking":
        uow.advance(booking, "nothing_opened")
        booking.needs_refill = all(hold.finished for hold in booking.holds.values())


def _conclude(uow: UnitOfWork, booking: Booking) -> None:
    """At least one cell opened: an issue ends, a return begins to wait for accumulators."""
    holds = booking.holds.values()
    for hold in holds:
        if hold.state == "held":
            uow.advance_hold(booking, hold, "released", reason="not_opened")
    if booking.kind == "return" and booking.status != "failed":
        uow.advance(booking, "opened_for_return")
        finish_return(uow, booking)
        return
    opened = sum(hold.is_opened for hold in holds)
    is_short = opened < booking.requested and opened < len(holds)
    uow.advance(booking, "some_opened" if is_short else "all_opened")
