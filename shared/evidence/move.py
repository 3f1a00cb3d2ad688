"""Step 7: update where accumulators are, and their charge, from the observations.

Rules: docs/how-it-works.md, "Evidence". Nothing here reads or writes the database.
"""

from shared.evidence.claims import decide
from shared.evidence.observe import Observation
from shared.evidence.records import Accumulator, Booking, Cabinet, Cell, Hold
from shared.evidence.settle import finish_return
from shared.evidence.unit_of_work import UnitOfWork
from shared.values import NOWHERE, Location


def move_accumulators(uow: UnitOfWork, cabinet: Cabinet, observations: list[Observation]) -> None:
    """Record departures first, then arrivals, then the readings of what is in the cells."""
    reported = {observation.cell.reported_id for observation in observations}
    for observation in observations:
        _record_departure(uow, observation.cell, reported)
    arrived: set[str] = set()
    for observation in observations:
        cell, reported_id, is_held_back = observation.cell, observation.cell.reported_id, False
        if reported_id in arrived:
            if observation.is_new:  # otherwise every report would repeat the anomaly
                _add_second(uow, uow.accumulators.get(reported_id), cell)
        elif reported_id:
            arrived.add(reported_id)
            if _is_outdated(uow, observation, reported_id):
                # It was here and is elsewhere by now. The next message shows what is here.
                is_held_back = cell.held_back
                cell.set(content="unknown", reported_id=None)
            else:
                is_held_back = not _record_arrival(uow, cabinet, observation, reported_id)
        cell.set(held_back=is_held_back)
    for observation in observations:
        _record_readings(uow, observation)
        _mark_unreadable_return(uow, observation.cell)
        _forget_opener(uow, observation.cell)


def _forget_opener(uow: UnitOfWork, cell: Cell) -> None:
    """A closed door has no opener, unless a departure through it is still to be recorded."""
    unsettled = uow.unsettled_unlocks(cell.cabinet_id, cell.cell_number)
    if cell.door == "closed" and not (unsettled and uow.differs_from_records(cell)):
        cell.set(opened_by=None)


# --- departures ---------------------------------------------------------------------------


def _record_departure(uow: UnitOfWork, cell: Cell, reported: set[str | None]) -> None:
    """Record where an accumulator went that should be in the cell and is not.

    `reported`: the accumulators that the same message reports in any cell; these have only moved.
    """
    gone = uow.accumulator_in(cell)
    if gone is None or not uow.differs_from_records(cell) or gone.accumulator_id in reported:
        return
    if uow.unsettled_unlocks(cell.cabinet_id, cell.cell_number):
        return  # settling the command will record it
    if cell.opened_by is None:
        uow.move(gone, NOWHERE, "reported", discrepancy=True)
        cell.mark_faulty("vanished")
        _add_anomaly(uow, "vanished", cell, gone.accumulator_id)
        return
    command = uow.commands.get(cell.opened_by)
    if command is not None and command.contractor_id is not None:  # opened for somebody
        to = Location(contractor_id=command.contractor_id)
        uow.move(gone, to, "issued", command_id=command.command_id)
        return
    booking = uow.booking_that_opened(cell)
    uow.move(
        gone,
        Location(contractor_id=booking.contractor_id) if booking else NOWHERE,
        "reported",
        booking_id=booking.booking_id if booking else None,
        command_id=cell.opened_by,
        discrepancy=True,
    )
    _add_anomaly(uow, "taken_without_booking", cell, gone.accumulator_id)


def _add_anomaly(uow: UnitOfWork, reason: str, cell: Cell, accumulator_id: str) -> None:
    detail = f"cell {cell.cell_number}: {accumulator_id}"
    uow.add_anomaly(reason, detail, accumulator_id=accumulator_id)


# --- arrivals -----------------------------------------------------------------------------


def _record_arrival(
    uow: UnitOfWork, cabinet: Cabinet, observation: Observation, accumulator_id: str
) -> bool:
    """Record that an accumulator is in the cell, whoever held it according to the records.

    Return False if the cabinet claims what others hold, and that is held back.
    """
    cell = observation.cell
    arrival = uow.accumulators.get(accumulator_id) or _register(uow, cell, accumulator_id)
    if arrival is None or arrival.place == cell.location:
        return True
    occupant = uow.accumulator_in(cell)
    if occupant is not None:
        if uow.unsettled_unlocks(cell.cabinet_id, cell.cell_number):
            return True  # settling the command will record where the occupant went
        # It has no departure: the same message reports it in another cell.
        uow.move(occupant, NOWHERE, "reported", discrepancy=True)
    other_cell = _other_cell_reporting(uow, arrival)
    if other_cell is not None and not (observation.is_new or cell.held_back):
        return True  # both cells keep reporting it; it stays in the one that began last
    expected = _expected_return(uow, cabinet, cell, arrival)
    is_expected = expected is not None or _was_not_collected(cell, arrival)
    decision = decide(uow, cell, arrival, is_expected=is_expected)
    if decision.is_held_back:
        return False
    if other_cell is not None:
        _resolve_contradiction(uow, arrival, other_cell, cell)
    uow.quarantine_found(arrival, cell)
    if expected is not None:
        _finish_hold(uow, *expected, observation, arrival, reason=decision.reason)
    else:
        _put_into_cell(uow, cell, arrival, reason=decision.reason)
    return True


def _register(uow: UnitOfWork, cell: Cell, accumulator_id: str) -> Accumulator | None:
    new = uow.register(accumulator_id, cell)
    if new is not None and new.is_unknown:
        _add_anomaly(uow, "unknown_accumulator", cell, accumulator_id)
    return new


def _is_outdated(uow: UnitOfWork, observation: Observation, accumulator_id: str) -> bool:
    """Whether another cabinet has reported the accumulator after this message was received."""
    arrival = uow.accumulators.get(accumulator_id)
    other_cell = _other_cell_reporting(uow, arrival) if arrival else None
    cell = observation.cell
    return (
        (observation.is_new or cell.held_back)
        and other_cell is not None
        and uow.is_outdated(cell, by=other_cell)
    )


def _put_into_cell(
    uow: UnitOfWork, cell: Cell, arrival: Accumulator, *, reason: str | None
) -> None:
    if _was_not_collected(cell, arrival):
        uow.move(arrival, cell.location, "not_collected", command_id=arrival.issued_by)
        return
    holder = arrival.place.contractor_id or arrival.place.scooter_id
    if holder is not None:  # one row counts them: somebody does this every day
        kind = "contractor" if arrival.place.contractor_id else "scooter"
        id_ = arrival.accumulator_id
        uow.add_anomaly("inserted_without_booking", f"from a {kind}", accumulator_id=id_)
    is_elsewhere = arrival.place != NOWHERE
    uow.move(arrival, cell.location, "reported", discrepancy=is_elsewhere, reason=reason)


def _finish_hold(  # noqa: PLR0913 - all of one return
    uow: UnitOfWork,
    booking: Booking,
    hold: Hold,
    observation: Observation,
    arrival: Accumulator,
    *,
    reason: str | None,
) -> None:
    """An accumulator was inserted for a return: its hold is finished."""
    cell = observation.cell
    uow.move(
        arrival,
        cell.location,
        "returned",
        booking_id=booking.booking_id,
        command_id=booking.command_id,
        discrepancy=arrival.place.contractor_id != booking.contractor_id,
        reason=reason,
    )
    in_other_cell = hold.cell_number != cell.cell_number
    why = f"in cell {cell.cell_number}" if in_other_cell else None
    uow.advance_hold(booking, hold, "inserted", reason=why)
    charge = observation.state.battery_charge
    hold.set(accumulator_id=arrival.accumulator_id, battery_charge=charge)
    finish_return(uow, booking)


def _mark_unreadable_return(uow: UnitOfWork, cell: Cell) -> None:
    """Something that cannot be read was inserted for a return: a person has to say what it is."""
    if cell.content not in {"unidentified", "empty"}:
        return
    for booking, hold in uow.unfinished_holds(cell.cabinet_id):
        is_waiting = booking.status == "returning" and hold.state == "opened"
        if hold.cell_number != cell.cell_number or not is_waiting:
            continue
        if cell.content == "unidentified" and hold.reason != "unreadable":
            hold.set(reason="unreadable")
            detail = f"cell {cell.cell_number}: returned by {booking.contractor_id}"
            uow.add_anomaly("unreadable_return", detail)
        elif cell.content == "empty" and hold.reason == "unreadable":
            hold.set(reason=None)


def _was_not_collected(cell: Cell, arrival: Accumulator) -> bool:
    """Whether it was issued from this cell and nothing shows that anybody took it out."""
    was_issued_here = arrival.issued_by is not None and arrival.issued_by == cell.opened_by
    return was_issued_here and not arrival.moved_on_since


def _expected_return(
    uow: UnitOfWork, cabinet: Cabinet, cell: Cell, arrival: Accumulator
) -> tuple[Booking, Hold] | None:
    """Return the return and the hold that an arrival finishes.

    The hold of this cell has precedence over one of the contractor who had the accumulator.
    """
    holds = [
        (booking, hold)
        for booking, hold in uow.unfinished_holds(cabinet.cabinet_id)
        if booking.kind == "return" and booking.status in {"unlocking", "returning"}
    ]
    of_cell = (match for match in holds if match[1].cell_number == cell.cell_number)
    of_contractor = (
        (booking, hold)
        for booking, hold in holds
        if hold.state == "opened" and booking.contractor_id == arrival.place.contractor_id
    )
    return next(of_cell, None) or next(of_contractor, None)


def _other_cell_reporting(uow: UnitOfWork, accumulator: Accumulator) -> Cell | None:
    """Return the cell where it is according to the records, if that cell reports it, too."""
    place = accumulator.place
    if place.cabinet_id is None or place.cell_number is None:
        return None
    cell = uow.cabinets[place.cabinet_id].cells[place.cell_number]
    return cell if cell.reported_id == accumulator.accumulator_id else None


def _resolve_contradiction(
    uow: UnitOfWork, arrival: Accumulator, other_cell: Cell, cell: Cell
) -> None:
    """Two cells report one accumulator, and the first has not reported that it left."""
    if uow.may_have_been_opened(other_cell):
        # It left through that door, or the other cell's next report shows that it did not.
        other_cell.set(content="unknown", reported_id=None)
    else:
        _add_duplicate(uow, arrival, cell)


def _add_second(uow: UnitOfWork, accumulator: Accumulator | None, cell: Cell) -> None:
    """A message reports one accumulator in two cells. What others hold was held back: leave it."""
    if accumulator is not None and accumulator.place.cabinet_id == cell.cabinet_id:
        _add_duplicate(uow, accumulator, cell)


def _add_duplicate(uow: UnitOfWork, accumulator: Accumulator, cell: Cell) -> None:
    if accumulator.status != "quarantined":
        uow.advance(accumulator, "quarantined")
    accumulator.set(is_unknown=False)  # an import does not put it in service
    place = accumulator.place
    uow.add_anomaly(
        "duplicate_accumulator",
        f"{accumulator.accumulator_id} in cell {cell.cell_number} of {cell.cabinet_id}"
        f" and in cell {place.cell_number} of {place.cabinet_id}",
        accumulator_id=accumulator.accumulator_id,
    )


# --- readings -----------------------------------------------------------------------------


def _record_readings(uow: UnitOfWork, observation: Observation) -> None:
    """Record charge and state of health of the accumulator that is in the cell."""
    accumulator = uow.accumulator_in(observation.cell)
    if accumulator is None or accumulator.accumulator_id != observation.cell.reported_id:
        return
    accumulator.set(battery_charge=observation.state.battery_charge)
    if observation.state.state_of_health is not None:
        accumulator.set(state_of_health=observation.state.state_of_health)
