"""Step 6: infer what commands did, from what the cells report.

Rules: docs/how-it-works.md, "Unlock". Nothing here reads or writes the database.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from shared.evidence.cell_outcomes import CommandOutcome
from shared.evidence.observe import Observation
from shared.evidence.records import Cabinet, Command, Position
from shared.evidence.settle import settle, settle_as_not_executed
from shared.evidence.unit_of_work import UnitOfWork
from shared.messages import CellState, CommandCell
from shared.states import COMMAND_UNANSWERED


def infer_outcomes(
    uow: UnitOfWork,
    cabinet: Cabinet,
    reported: Collection[CellState],
    *,
    position: Position,
    answered: Command | None = None,
) -> None:
    """Settle unanswered commands, and the one that this message answers, by the cells' state.

    `answered`: the command that a report names. A door that opened, or an accumulator that is gone,
    proves that a command was executed. Only one thing proves that it was not executed: a report
    which names this command or a later one, and shows all its cells closed with their content
    unchanged. The cabinet has handled the command by then, since it handles commands in order.
    """
    by_number = {state.cell_number: state for state in reported}
    for command in uow.unsettled_unlocks(cabinet.cabinet_id):
        if command is not answered and command.status not in COMMAND_UNANSWERED:
            continue
        opened = {n: _was_opened(uow, cabinet, command, n, by_number) for n in command.cells}
        is_proof = answered is not None and _was_sent_before(command, answered)
        if None in opened.values() or not (is_proof or all(opened.values())):
            continue
        if not any(opened.values()):
            settle_as_not_executed(uow, command, is_answered=command is answered)
            continue
        _settle_by_cells(uow, cabinet, command, position, opened)


def infer_late_openings(
    uow: UnitOfWork, cabinet: Cabinet, observations: list[Observation], position: Position
) -> None:
    """Record that a cell opened although its command's result says that it did not.

    The evidence: the door has opened since, or the accumulator is gone, and no later command names
    the cell. The accumulator is then with the booking's contractor.
    """
    for cell, _state, _is_new, has_opened in observations:
        is_gone = cell.opened_by is None and uow.differs_from_records(cell)
        command = uow.failed_opening(cell) if has_opened or is_gone else None
        if command is None:
            continue
        word = command.result_of(cell.cell_number)
        uow.add_anomaly("opened_after_failure", f"cell {cell.cell_number}: {word}")
        # A command's first outcome has to name all its cells; later ones add to it.
        is_first = command.status == "not_executed"
        numbers = command.cells if is_first else [cell.cell_number]
        opened = {number: number == cell.cell_number for number in numbers}
        _settle_by_cells(uow, cabinet, command, position, opened)


def infer_lock(uow: UnitOfWork, cabinet: Cabinet, command: Command, position: Position) -> None:
    """Settle a lock command that a report answers, if it shows all its doors closed."""
    cells = [cabinet.cells.get(number) for number in command.cells]
    if all(cell is not None and cell.door == "closed" for cell in cells):
        locked = {n: CommandCell(cell_number=n, result="locked") for n in command.cells}
        outcome = CommandOutcome(locked, position, is_current_boot=True, inferred=True)
        settle(uow, cabinet, command, outcome)


def _settle_by_cells(
    uow: UnitOfWork,
    cabinet: Cabinet,
    command: Command,
    position: Position,
    opened: Mapping[int, bool | None],
) -> None:
    cells = {
        n: CommandCell(cell_number=n, result="opened" if was_opened else "not_executed")
        for n, was_opened in opened.items()
    }
    outcome = CommandOutcome(cells, position, is_current_boot=True, inferred=True)
    settle(uow, cabinet, command, outcome)


def _was_sent_before(command: Command, answered: Command) -> bool:
    """Whether the cabinet handled `command` before it made the report that names `answered`."""
    sent_by = command.published_at or _latest_publication(command)
    created_at: datetime = answered.created_at
    return command is answered or created_at > sent_by


def _latest_publication(command: Command) -> datetime:
    """Return when the function that publishes the command has ended at the latest.

    Its timeout in terraform/functions.tf is at most twice the command's waiting time plus 30 s.
    """
    created, deadline = command.created_at, command.deadline
    latest: datetime = created + 2 * (deadline - created) + timedelta(seconds=30)
    return latest


def _was_opened(
    uow: UnitOfWork,
    cabinet: Cabinet,
    command: Command,
    number: int,
    reported: Mapping[int, CellState],
) -> bool | None:
    """Whether the cell was opened since its command; None if that is unknown."""
    cell = cabinet.cells.get(number)
    if cell is None:
        return None
    booking = uow.booking_of(command)
    hold = booking.holds.get(number) if booking else None
    # In a return that waits already, the command reopens a cell: the hold was opened before it.
    is_reopening = booking is not None and booking.status == "returning"
    if cell.door == "open" or (hold and hold.is_opened and not is_reopening):
        return True
    if cell.door == "unknown" or not cell.has_known_content:
        return None
    # The hold has precedence: its accumulator may have been reported elsewhere since.
    before = hold or uow.accumulator_in(cell)
    expected_id = before.accumulator_id if before else None
    if cell.reported_id != expected_id:
        return True
    # Only this message proves that nothing happened: stored evidence may be older.
    state = reported.get(number)
    is_unchanged = state and state.door == "closed" and state.accumulator_id == expected_id
    return False if is_unchanged else None
