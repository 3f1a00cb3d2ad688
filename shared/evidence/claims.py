"""Step 7, first part: decide whether a cabinet may take an accumulator that others hold.

Rules: docs/how-it-works.md, "Suspect cabinets". Nothing here reads or writes the database.
"""

from typing import NamedTuple

from shared.evidence.records import Accumulator, Cabinet, Cell
from shared.evidence.unit_of_work import UnitOfWork
from shared.repo.claims import CLAIMED, CLEARED, CONTRADICTED, TAKEN_BACK
from shared.values import NOWHERE


class Decision(NamedTuple):
    """Whether a report of an accumulator is held back, and the movement's reason if it is not."""

    is_held_back: bool
    reason: str | None = None


def decide(uow: UnitOfWork, cell: Cell, accumulator: Accumulator, *, is_expected: bool) -> Decision:
    """Decide whether the report that the accumulator is in the cell is applied.

    It is held back if it is a claim and the cabinet is suspect. The first claim beyond the limit
    makes it suspect. `is_expected`: it was put in for a return, or has not been collected.
    """
    claim = _claim_of(uow, cell, accumulator, is_expected=is_expected)
    if claim is None:
        return Decision(is_held_back=False)
    cabinet, id_ = uow.cabinets[cell.cabinet_id], accumulator.accumulator_id
    if not cabinet.is_suspect:
        if accumulator.taken_from == cabinet.cabinet_id:
            return Decision(is_held_back=False, reason=TAKEN_BACK)
        if cell.held_back and cell.reported_id == id_:
            return Decision(is_held_back=False, reason=CLEARED)
        if id_ in cabinet.claimed or len(cabinet.claimed) < uow.limits.claims_per_hour:
            cabinet.claimed.add(id_)
            return Decision(is_held_back=False, reason=claim)
        _suspect(uow, cabinet)
    if not cell.held_back:  # otherwise every report would repeat the anomaly
        detail = f"cell {cell.cell_number}: {id_}"
        uow.add_anomaly("claim_held_back", detail, accumulator_id=id_)
    return Decision(is_held_back=True)


def _claim_of(
    uow: UnitOfWork, cell: Cell, accumulator: Accumulator, *, is_expected: bool
) -> str | None:
    """Return what kind of claim it is that the accumulator is in the cell; None if it is none.

    A claim names an accumulator that another cabinet's cell, a contractor or a scooter has, with
    nothing that explains how it came here.
    """
    place = accumulator.place
    if place == NOWHERE or place.cabinet_id == cell.cabinet_id:
        return None
    if place.cabinet_id is not None and place.cell_number is not None:
        other = uow.cabinets[place.cabinet_id].cells[place.cell_number]
        if uow.may_have_been_opened(other):
            return None
        if other.reported_id == accumulator.accumulator_id:
            return CONTRADICTED
    elif accumulator.is_declared or _was_opened_for(uow, cell, place.contractor_id):
        return None
    return None if is_expected else CLAIMED


def _suspect(uow: UnitOfWork, cabinet: Cabinet) -> None:
    reason = f"claimed more than {uow.limits.claims_per_hour} accumulators that others have"
    cabinet.is_suspect, cabinet.suspect_reason = True, reason
    uow.add_anomaly("suspect_cabinet", reason)


def _was_opened_for(uow: UnitOfWork, cell: Cell, contractor_id: str | None) -> bool:
    """Whether a command opened the cell for this contractor, and it is not reported closed yet."""
    command = uow.commands.get(cell.opened_by) if cell.opened_by else None
    booking = uow.booking_that_opened(cell)
    opened_for = {command and command.contractor_id, booking and booking.contractor_id}
    return contractor_id is not None and contractor_id in opened_for
