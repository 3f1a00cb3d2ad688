"""What a command without an answer did, by what the cells show.

Rules: docs/how-it-works.md, "Unlock". Nothing here reads or writes the database.
"""

from datetime import datetime, timedelta

from shared.messages import CommandCell
from shared.services import settlement
from shared.services.records import Cabinet, Command
from shared.services.world import World


def infer(
    world: World, cabinet: Cabinet, *, position: tuple[int, int], asked_at: datetime | None
) -> None:
    """Settle commands without an answer by what the cells show now.

    `asked_at`: when the report was asked for by a command of ours; None if it came by itself.
    A door that opened, or an accumulator that is gone, shows that the command was executed. That
    it was not is proved only by a report that was asked for after the command: the cabinet reads
    its commands in order, so that the command can no longer be on its way.
    """
    for command in world.in_doubt(cabinet.cabinet_id):
        if command.status not in {"no_answer", "unresolved"}:
            continue
        sent_by = command.published_at or _last_chance(command)
        proof = asked_at is not None and asked_at > sent_by
        opened = {n: _was_opened(world, cabinet, command, n, position) for n in command.cells}
        if None in opened.values() or not (proof or all(opened.values())):
            continue
        if not any(opened.values()):
            settlement.not_executed(world, command)
            continue
        cells = {
            n: CommandCell(cell_number=n, result="opened" if was else "not_executed")
            for n, was in opened.items()
        }
        outcome = settlement.Outcome(cells=cells, position=position, is_present=True, inferred=True)
        settlement.settle(world, cabinet, command, outcome)


def _last_chance(command: Command) -> datetime:
    """When the function that was to send it has ended for certain (terraform: its timeout)."""
    made, deadline = command.created_at, command.deadline
    latest: datetime = made + 2 * (deadline - made) + timedelta(seconds=30)
    return latest


def _was_opened(
    world: World, cabinet: Cabinet, command: Command, number: int, position: tuple[int, int]
) -> bool | None:
    """Whether the cell was opened since its command: None where it cannot be told."""
    cell = cabinet.cells[number]
    booking = world.booking_of(command)
    hold = booking.holds.get(number) if booking else None
    if cell.door == "open" or (hold and hold.done):
        return True
    if cell.door == "unknown" or cell.content in {"unknown", "unidentified"}:
        return None
    # Not what the records say is in it: what was taken may have been seen elsewhere since.
    before = hold or world.occupant(cell)
    if cell.reported_id != (before.accumulator_id if before else None):
        return True
    # As it was: that is proof only if the message, or a newer one, has shown this very cell.
    return False if cabinet.position(cell) >= position else None
