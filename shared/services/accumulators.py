"""Accumulators: register, look up, correct, retire."""

from typing import Annotated

from pydantic import Field

from shared import cursor, log
from shared.db import Row, Tx
from shared.errors import (
    AccumulatorExists,
    AccumulatorInUse,
    AccumulatorNotFound,
    CellNotFound,
    PlaceTaken,
)
from shared.models.accumulators import (
    Accumulator,
    AccumulatorChange,
    AccumulatorPage,
    AccumulatorQuery,
    AccumulatorRequest,
    MovementPage,
)
from shared.models.base import Page
from shared.models.places import InCell
from shared.repo import accumulators, cabinets, cells
from shared.repo.accumulators import Move
from shared.services import holds, place
from shared.values import Id

MovementId = Annotated[int, Field(ge=1, lt=2**63)]


def register(tx: Tx, request: AccumulatorRequest) -> Accumulator:
    """Make an accumulator known, with a contractor, in a scooter, or nowhere known."""
    if not accumulators.register(tx, [request.model_dump()]):
        raise AccumulatorExists
    return get(tx, request.accumulator_id)


def get(tx: Tx, accumulator_id: str) -> Accumulator:
    """One accumulator."""
    row = accumulators.get(tx, accumulator_id)
    if row is None:
        raise AccumulatorNotFound
    return place.accumulator(row)


def listing(tx: Tx, query: AccumulatorQuery) -> AccumulatorPage:
    """Accumulators by id."""
    [after] = cursor.decode(query.cursor, Id)
    rows = accumulators.listing(tx, {**query.model_dump(), "after": after})
    page = rows[: query.limit]
    more = len(rows) > query.limit
    return AccumulatorPage(
        accumulators=[place.accumulator(row) for row in page],
        next_cursor=cursor.encode(page[-1]["accumulator_id"]) if more else None,
    )


def movements(tx: Tx, accumulator_id: str, page: Page) -> MovementPage:
    """The chain of custody, newest first."""
    get(tx, accumulator_id)
    [before] = cursor.decode(page.cursor, MovementId)
    rows = accumulators.movements(tx, accumulator_id, before=before, limit=page.limit)
    more = len(rows) > page.limit
    return MovementPage(
        movements=[place.movement(row) for row in rows[: page.limit]],
        next_cursor=cursor.encode(rows[page.limit - 1]["movement_id"]) if more else None,
    )


def correct(tx: Tx, accumulator_id: str, change: AccumulatorChange) -> Accumulator:
    """Record what a person knows better: status, place, charge. The ledger says why."""
    row = _lock(tx, accumulator_id, change)
    if row["status"] == "retired" and change.status is None:
        raise AccumulatorInUse(detail="The accumulator is retired; give it another status first.")
    accumulators.save_readings(
        tx,
        [
            {
                **row,
                "status": change.status or row["status"],
                "battery_charge": change.battery_charge
                if "battery_charge" in change.model_fields_set
                else row["battery_charge"],
            }
        ],
    )
    if change.place is not None:
        _move(tx, row, change)
    log.info("accumulator corrected", accumulator_id=accumulator_id, reason=change.reason)
    return get(tx, accumulator_id)


def retire(tx: Tx, accumulator_id: str) -> None:
    """Take an accumulator out of the system. Its ledger stays."""
    row = accumulators.lock(tx, [accumulator_id]).get(accumulator_id)
    if row is None:
        raise AccumulatorNotFound
    if place.place(row) is not None or accumulators.booked(tx, accumulator_id):
        raise AccumulatorInUse(
            detail="The accumulator is somewhere; record that it was taken out (place: nowhere)."
        )
    accumulators.save_readings(tx, [{**row, "status": "retired"}])


def _lock(tx: Tx, accumulator_id: str, change: AccumulatorChange) -> Row:
    """Lock the cabinets that the correction touches, then the accumulator."""
    known = accumulators.get(tx, accumulator_id)
    if known is None:
        raise AccumulatorNotFound
    target = change.place.cabinet_id if isinstance(change.place, InCell) else None
    touched = {known["cabinet_id"], target} - {None}
    locked = cabinets.lock(tx, touched)
    holds.write_expiry(tx, touched)
    if target is not None and not any(cabinet["cabinet_id"] == target for cabinet in locked):
        raise CellNotFound(detail="There is no such cabinet.")
    row = accumulators.lock(tx, [accumulator_id])[accumulator_id]
    if row["cabinet_id"] != known["cabinet_id"]:
        raise AccumulatorInUse(detail="The accumulator is being moved right now; look again.")
    if accumulators.booked(tx, accumulator_id):
        raise AccumulatorInUse(detail="An unfinished booking holds it; cancel that first.")
    return row


def _move(tx: Tx, row: Row, change: AccumulatorChange) -> None:
    if change.place is None or (to := place.location(change.place)) == place.of(row):
        return
    if isinstance(change.place, InCell):
        target = cells.describe(tx, change.place.cabinet_id, change.place.cell_number)
        if not target:
            raise CellNotFound
        if target[0]["accumulator_id"] is not None:
            raise PlaceTaken(accumulator_id=target[0]["accumulator_id"])
    accumulators.move(
        tx,
        [
            Move(
                accumulator_id=row["accumulator_id"],
                to=to,
                cause="corrected",
                discrepancy=True,
                reason=change.reason,
            )
        ],
    )
