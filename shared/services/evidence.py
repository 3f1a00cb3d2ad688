"""What a cell's state tells: which accumulator is where, and what that does to holds.

Rules: docs/how-it-works.md, "Evidence". Nothing here reads or writes the database.
"""

from typing import NamedTuple

from shared.messages import CellState
from shared.repo.accumulators import NOWHERE, Location
from shared.services.records import Accumulator, Booking, Cabinet, Cell, Hold
from shared.services.world import World

MAX_TEMPERATURE_C = 60
"""Above it a cell is not used: accumulators are charged at 0 to 55 °C."""


class Sight(NamedTuple):
    """A cell and what one message newly said of it."""

    cell: Cell
    state: CellState
    is_new: bool
    """The accumulator that it names was not what it named before."""


def look(
    world: World,
    cabinet: Cabinet,
    states: list[CellState],
    *,
    position: tuple[int, int],
    whole: bool,
) -> list[Sight]:
    """Take down what a message says of cells, where it is newer than what is known.

    `position`: the message's (boot_no, seq). `whole`: it is a report whose position is kept once,
    with the cabinet, so that cells which it leaves as they are need no writing.
    """
    sights = []
    for state in states:
        cell = cabinet.cells[state.cell_number]
        if position <= cabinet.position(cell):
            continue
        if doubt := state.doubt():
            world.note("cell_not_believed", doubt)
            continue
        if state.door == "open" and cell.door == "closed" and not _commanded(world, cell):
            world.note("opened_without_command", f"cell {cell.cell_number}")
        before = cell.reported_id
        _take_down(world, cell, state)
        if whole:
            cell.boot_no, cell.seq = position
        else:
            cell.set(boot_no=position[0], seq=position[1])
        sights.append(Sight(cell, state, is_new=cell.reported_id != before))
    return sights


def forget(cabinet: Cabinet, named: set[int], *, position: tuple[int, int], whole: bool) -> None:
    """A cell that a report does not name is unknown, not empty."""
    for number in cabinet.cells.keys() - named:
        cell = cabinet.cells[number]
        if position > cabinet.position(cell):
            cell.set(door="unknown", content="unknown", reported_id=None)
            if whole:
                cell.boot_no, cell.seq = position
            else:
                cell.set(boot_no=position[0], seq=position[1])


def judge(world: World, cabinet: Cabinet, sights: list[Sight]) -> None:
    """Draw the conclusions: departures, arrivals, readings."""
    claimed = {sight.cell.reported_id for sight in sights}
    for sight in sights:
        _depart(world, sight.cell, claimed)
    arrived: set[str] = set()
    for sight in sights:
        claim = sight.cell.reported_id
        if claim in arrived:
            if sight.is_new:  # else it has been noted, and every report would note it again
                _note_duplicate(world, world.accumulators[claim], sight.cell)
        elif claim:
            arrived.add(claim)
            _arrive(world, cabinet, sight, claim)
    for sight in sights:
        _read(world, sight)
        doubts = world.in_doubt(sight.cell.cabinet_id, sight.cell.cell_number)
        if sight.cell.door == "closed" and not (doubts and may_have_left(world, sight.cell)):
            sight.cell.set(opened_by=None)


def may_have_left(world: World, cell: Cell) -> bool:
    """Whether a departure is still to be judged, once a command's settlement has spoken."""
    occupant = world.occupant(cell)
    definite = cell.content in {"empty", "occupied"}
    return occupant is not None and definite and occupant.accumulator_id != cell.reported_id


def finish_return(booking: Booking) -> None:
    """A return ends when nothing is waited for: completed if all that was asked for came."""
    holds = booking.holds.values()
    if booking.status == "returning" and all(hold.finished for hold in holds):
        whole = all(hold.state in {"inserted", "released"} for hold in holds)
        booking.become("completed" if whole else "partially_completed")


def end_holds(world: World) -> None:
    """End what is held but cannot be given any more; the booking may get another in its place."""
    for cabinet in world.cabinets.values():
        for booking, hold in world.held(cabinet.cabinet_id):
            if booking.status != "active":
                continue  # what its command did is not known yet, or its doors are open
            reason = _unfit(world, cabinet.cells[hold.cell_number], booking, hold)
            if reason is not None:
                hold.become("released", finished=True, reason=reason)
                booking.wants_more = True


def _commanded(world: World, cell: Cell) -> bool:
    """Whether a command of ours opened the cell, or may have."""
    doubts = world.in_doubt(cell.cabinet_id, cell.cell_number)
    return cell.opened_by is not None or bool(doubts)


def _take_down(world: World, cell: Cell, state: CellState) -> None:
    claim = state.accumulator_id if isinstance(state.accumulator_id, str) else None
    too_hot = state.temperature_c is not None and state.temperature_c > MAX_TEMPERATURE_C
    cell.set(door=state.door, fault=state.fault or ("over_temperature" if too_hot else None))
    if claim and _being_collected(world, cell, claim):
        return
    if claim is None:
        cell.set(content="empty", reported_id=None)
    elif claim == "?":
        cell.set(content="unidentified", reported_id=None)
    else:
        cell.set(content="occupied", reported_id=claim)


def _being_collected(world: World, cell: Cell, accumulator_id: str) -> bool:
    """Issued a moment ago and still in its open cell: the contractor is about to take it.

    Or has: a cabinet's words may be late, and a swap with it, or its return elsewhere, be known.
    """
    if cell.door != "open" or cell.content != "unknown" or cell.opened_by is None:
        return False
    accumulator, opener = world.accumulators.get(accumulator_id), world.opener(cell)
    if accumulator is not None and accumulator.issued_by == cell.opened_by:
        return True
    hold = opener.holds.get(cell.cell_number) if opener is not None else None
    return hold is not None and hold.state == "opened" and hold.accumulator_id == accumulator_id


def _depart(world: World, cell: Cell, claimed: set[str | None]) -> None:
    """Say where an accumulator has gone that should be in the cell and is not."""
    gone = world.occupant(cell)
    definite = cell.content in {"empty", "occupied"}
    if gone is None or not definite or gone.accumulator_id in {cell.reported_id, *claimed}:
        return
    if world.in_doubt(cell.cabinet_id, cell.cell_number):
        return  # the command's settlement will say
    if cell.opened_by is None:
        world.move(gone, NOWHERE, "reported", discrepancy=True)
        cell.fail("vanished")
        world.note("vanished", f"cell {cell.cell_number}: {gone.accumulator_id}")
        return
    opener = world.opener(cell)
    world.move(
        gone,
        Location(contractor_id=opener.contractor_id) if opener else NOWHERE,
        "reported",
        booking_id=opener.booking_id if opener else None,
        command_id=cell.opened_by,
        discrepancy=True,
    )
    world.note("taken_without_booking", f"cell {cell.cell_number}: {gone.accumulator_id}")


def _arrive(world: World, cabinet: Cabinet, sight: Sight, claim: str) -> None:
    """An accumulator is reported in a cell: it is there, whoever was thought to hold it."""
    cell = sight.cell
    here = Location(cabinet_id=cell.cabinet_id, cell_number=cell.cell_number)
    found = world.accumulators.get(claim)
    if found is None:
        found = world.register(claim)
        world.note("unknown_accumulator", f"cell {cell.cell_number}: {claim}")
    occupant = world.occupant(cell)
    if found.place == here:
        return
    if occupant is not None:
        if world.in_doubt(cell.cabinet_id, cell.cell_number):
            return  # the command's settlement will say where the occupant is
        # It has not departed: the same message shows it in another cell.
        world.move(occupant, NOWHERE, "reported", discrepancy=True)
    home = _claimed_elsewhere(world, found)
    if home is not None:
        if not sight.is_new:
            return  # both cells keep saying so; the one that said it last holds the place
        _contradict(world, found, home, cell)
    if found.status in {"missing", "retired"}:
        world.note(f"{found.status}_found", f"cell {cell.cell_number}: {claim}")
        found.read(status="quarantined")
    _place(world, cabinet, sight, found, here)


def _place(
    world: World, cabinet: Cabinet, sight: Sight, found: Accumulator, here: Location
) -> None:
    match = _awaited(world, cabinet, sight.cell, found)
    if match is not None:
        booking, hold = match
        expected = found.place.contractor_id == booking.contractor_id
        ids = {"booking_id": booking.booking_id, "command_id": booking.command_id}
        world.move(found, here, "returned", **ids, discrepancy=not expected)
        elsewhere = hold.cell_number != sight.cell.cell_number
        reason = f"in cell {sight.cell.cell_number}" if elsewhere else None
        hold.become("inserted", finished=True, reason=reason)
        hold.accumulator_id = found.accumulator_id
        hold.battery_charge = _percent(sight.state.battery_charge)
        finish_return(booking)
    elif _was_left(sight.cell, found):
        world.move(found, here, "not_collected", command_id=found.issued_by)
    else:
        world.move(found, here, "reported", discrepancy=found.place != NOWHERE)


def _was_left(cell: Cell, found: Accumulator) -> bool:
    """Issued from here, and nothing says that anybody has had it since."""
    return not found.swapped and found.issued_by is not None and found.issued_by == cell.opened_by


def _awaited(
    world: World, cabinet: Cabinet, cell: Cell, found: Accumulator
) -> tuple[Booking, Hold] | None:
    """The return that this arrival is of: of this cell, else of whoever held the accumulator."""
    holds = [
        (booking, hold)
        for booking, hold in world.held(cabinet.cabinet_id)
        if booking.kind == "return" and booking.status in {"unlocking", "returning"}
    ]
    of_cell = (match for match in holds if match[1].cell_number == cell.cell_number)
    of_bag = (
        (booking, hold)
        for booking, hold in holds
        if hold.state == "opened" and booking.contractor_id == found.place.contractor_id
    )
    return next(of_cell, None) or next(of_bag, None)


def _claimed_elsewhere(world: World, accumulator: Accumulator) -> Cell | None:
    """The cell where it is by the records, if that still says, too, that it is there."""
    place = accumulator.place
    if place.cabinet_id is None or place.cell_number is None:
        return None
    home = world.cabinets[place.cabinet_id].cells[place.cell_number]
    return home if home.reported_id == accumulator.accumulator_id else None


def _contradict(world: World, found: Accumulator, home: Cell, cell: Cell) -> None:
    """It is seen in a cell, and another one has not said yet that it has left."""
    if _commanded(world, home):  # it has, by that door; or that cell will say so again
        home.set(content="unknown", reported_id=None)
    else:
        _note_duplicate(world, found, cell)


def _note_duplicate(world: World, accumulator: Accumulator, cell: Cell) -> None:
    accumulator.read(status="quarantined")
    place = accumulator.place
    world.note(
        "duplicate_accumulator",
        f"{accumulator.accumulator_id} in cell {cell.cell_number} of {cell.cabinet_id}"
        f" and in cell {place.cell_number} of {place.cabinet_id}",
    )


def _read(world: World, sight: Sight) -> None:
    """Take the readings of the accumulator that is in the cell."""
    occupant = world.occupant(sight.cell)
    if occupant is not None and occupant.accumulator_id == sight.cell.reported_id:
        occupant.read(battery_charge=_percent(sight.state.battery_charge))
        if isinstance(sight.state.state_of_health, int):
            occupant.read(state_of_health=sight.state.state_of_health)


def _percent(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _unfit(world: World, cell: Cell, booking: Booking, hold: Hold) -> str | None:
    """Why a hold cannot stay, if it cannot."""
    if cell.health != "ok":
        return cell.health_reason
    if cell.fault is not None:
        return cell.fault
    if booking.kind == "return":
        return "occupied" if cell.content in {"occupied", "unidentified"} else None
    occupant = world.occupant(cell)
    return None if occupant and occupant.accumulator_id == hold.accumulator_id else "moved"
