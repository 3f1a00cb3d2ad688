"""Accumulators: register, look up, correct, retire."""

from typing import Annotated

from pydantic import Field

from shared import cursor, holds, log, states
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
    CustodyQuery,
    Movement,
    MovementPage,
    MovementQuery,
)
from shared.models.base import Time
from shared.models.places import InCell, location_of, place_of
from shared.repo import accumulators, cabinets, cells, returns
from shared.repo.accumulators import Move, location_in
from shared.values import Id

MovementId = Annotated[int, Field(ge=1, lt=2**63)]


def register(tx: Tx, request: AccumulatorRequest) -> Accumulator:
    """Register an accumulator: with a contractor, in a scooter, or nowhere known."""
    if not accumulators.register(tx, [request.model_dump()]):
        raise AccumulatorExists
    return get(tx, request.accumulator_id)


def get(tx: Tx, accumulator_id: str) -> Accumulator:
    """Return one accumulator."""
    row = accumulators.get(tx, accumulator_id)
    if row is None:
        raise AccumulatorNotFound
    return Accumulator.of(row)


def listing(tx: Tx, query: AccumulatorQuery) -> AccumulatorPage:
    """Return a page of accumulators, by id."""
    [after] = cursor.decode(query.cursor, Id)
    rows = accumulators.listing(tx, {**query.model_dump(), "after": after})
    page = rows[: query.limit]
    has_more = len(rows) > query.limit
    return AccumulatorPage(
        accumulators=[Accumulator.of(row) for row in page],
        next_cursor=cursor.encode(page[-1]["accumulator_id"]) if has_more else None,
    )


def movements(tx: Tx, accumulator_id: str, query: CustodyQuery) -> MovementPage:
    """Return a page of the chain of custody, newest first."""
    get(tx, accumulator_id)
    [before] = cursor.decode(query.cursor, MovementId)
    rows = accumulators.movements(tx, accumulator_id, {**query.model_dump(), "before": before})
    has_more = len(rows) > query.limit
    return MovementPage(
        movements=[Movement.of(row) for row in rows[: query.limit]],
        next_cursor=cursor.encode(rows[query.limit - 1]["movement_id"]) if has_more else None,
    )


def all_movements(tx: Tx, query: MovementQuery) -> MovementPage:
    """Return a page of the movements of all accumulators that match, by time."""
    after_at, after_id = cursor.decode(query.cursor, Time, MovementId)
    rows = accumulators.all_movements(
        tx, {**query.model_dump(), "after_at": after_at, "after_id": after_id}
    )
    page = rows[: query.limit]
    has_more = len(rows) > query.limit
    return MovementPage(
        movements=[Movement.of(row) for row in page],
        next_cursor=cursor.encode(page[-1]["at"], page[-1]["movement_id"]) if has_more else None,
    )


def correct(tx: Tx, accumulator_id: str, change: AccumulatorChange) -> Accumulator:
    """Record an operator's correction of status, place or charge; the ledger keeps the reason."""
    row = _lock(tx, accumulator_id, change)
    if row["status"] == "retired" and change.status is None:
        raise AccumulatorInUse(detail="The accumulator is retired; give it another status first.")
    corrected = dict(row)
    if change.status is not None:
        corrected["status"] = states.ACCUMULATOR.changed_to(row["status"], change.status)
        corrected["is_unknown"] = False
    if "battery_charge" in change.model_fields_set:
        corrected["battery_charge"] = change.battery_charge
    accumulators.save_readings(tx, [corrected])
    if change.place is not None:
        _move(tx, row, change)
    log.info("accumulator corrected", accumulator_id=accumulator_id, reason=change.reason)
    return get(tx, accumulator_id)


def retire(tx: Tx, accumulator_id: str) -> None:
    """Retire an accumulator whose place is nowhere known. Its ledger stays."""
    row = accumulators.lock(tx, [accumulator_id]).get(accumulator_id)
    if row is None:
        raise AccumulatorNotFound
    if place_of(row) is not None or accumulators.booked(tx, accumulator_id):
        raise AccumulatorInUse(
            detail="The accumulator has a place or a booking; first correct its place to nowhere."
        )
    status = states.ACCUMULATOR.changed_to(row["status"], "retired")
    accumulators.save_readings(tx, [{**row, "status": status, "is_unknown": False}])


def _lock(tx: Tx, accumulator_id: str, change: AccumulatorChange) -> Row:
    """Lock the cabinets that the correction concerns, then the accumulator; return its row."""
    before = accumulators.get(tx, accumulator_id)
    if before is None:
        raise AccumulatorNotFound
    target = change.place.cabinet_id if isinstance(change.place, InCell) else None
    concerned = {before["cabinet_id"], target} - {None}
    locked = cabinets.lock(tx, concerned)
    holds.write_expiry(tx, concerned)
    if target is not None and not any(cabinet["cabinet_id"] == target for cabinet in locked):
        raise CellNotFound(detail=f"There is no cabinet {target}.")
    row = accumulators.lock(tx, [accumulator_id])[accumulator_id]
    if row["cabinet_id"] != before["cabinet_id"]:
        raise AccumulatorInUse(detail="The accumulator has just been moved; look again.")
    if accumulators.booked(tx, accumulator_id):
        raise AccumulatorInUse(detail="An unfinished booking holds it; cancel that first.")
    return row


def _move(tx: Tx, row: Row, change: AccumulatorChange) -> None:
    if change.place is None or (to := location_of(change.place)) == location_in(row):
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
    if isinstance(change.place, InCell):
        returns.insert_by_hand(
            tx,
            change.place.cabinet_id,
            change.place.cell_number,
            row["accumulator_id"],
            row["battery_charge"],
        )
