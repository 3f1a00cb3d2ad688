"""Swaps: the charged accumulator goes into the scooter, the flat one to the contractor."""

from uuid import UUID

from shared import holds, states
from shared.db import Row, Tx
from shared.errors import AccumulatorNotHeld, AccumulatorNotInScooter
from shared.models.accumulators import Accumulator
from shared.models.places import place_of
from shared.models.swaps import Swap, SwapRequest
from shared.repo import accumulators, bookings, cabinets
from shared.repo.accumulators import Move, location_in
from shared.values import NOWHERE, Location


def record(tx: Tx, swap_id: UUID, request: SwapRequest) -> Swap:
    """Record a swap; a repeated report returns the recorded swap.

    Raises AccumulatorNotHeld or AccumulatorNotInScooter, which name the accumulator's place, unless
    the request has `reconcile`: then it is recorded with discrepancies.
    """
    rows = _lock(tx, request)
    movement = _recorded_movement(tx, swap_id, request)
    if movement is None:
        rows = _check(tx, request, rows)
        readings = [(row, _with_readings(request, row)) for row in rows.values()]
        accumulators.save_readings(tx, [new for row, new in readings if new != row])
        accumulators.move(tx, _moves(swap_id, request, rows))
        for accumulator_id in rows:
            for booking_id in bookings.release_accumulator(tx, accumulator_id):
                holds.refill_active(tx, booking_id)
        movement = accumulators.moved_by_swap(tx, swap_id, request.installed_accumulator_id)
    return _response(tx, request, movement or {})


def _lock(tx: Tx, request: SwapRequest) -> dict[str, Row]:
    """Lock the two accumulators and any other that is recorded in the scooter; return them."""
    accumulators.lock_scooter(tx, request.scooter_id)
    tx.savepoint()
    while True:
        rows, cabinet_ids = _try_lock(tx, request)
        entered = {row["cabinet_id"] for row in rows.values()} - {None} - cabinet_ids
        if not (request.reconcile and entered):
            break
        # One entered a cell meanwhile: its cabinet has to be locked before it.
        tx.rollback_to_savepoint()
    named = {request.installed_accumulator_id, request.removed_accumulator_id}
    # The others may have left the scooter before they were locked.
    at = request.scooter_id
    return {i: row for i, row in rows.items() if i in named or row["scooter_id"] == at}


def _try_lock(tx: Tx, request: SwapRequest) -> tuple[dict[str, Row], set[str]]:
    """Lock cabinets, then accumulators; return the accumulators and the cabinets' ids."""
    wanted = {request.installed_accumulator_id, *accumulators.in_scooter(tx, request.scooter_id)}
    if request.removed_accumulator_id is not None:
        wanted.add(request.removed_accumulator_id)
    # The cabinets whose bookings hold one of them, and those that a reconciled swap takes one from.
    cabinet_ids = bookings.cabinets_holding(tx, wanted)
    if request.reconcile:
        cabinet_ids |= cabinets.of_accumulators(tx, wanted)
    if cabinet_ids:
        cabinets.lock(tx, cabinet_ids)
        bookings.expire_due(tx, cabinet_ids)
    return accumulators.lock(tx, wanted), cabinet_ids


def _recorded_movement(tx: Tx, swap_id: UUID, request: SwapRequest) -> Row | None:
    """Return the installed accumulator's movement if this swap is recorded already.

    It is recorded under this id, or is the accumulator's last movement under another id.
    """
    own = accumulators.moved_by_swap(tx, swap_id, request.installed_accumulator_id)
    last = own or accumulators.last_movement(tx, request.installed_accumulator_id)
    if own or last is None:
        return own
    if last["swap_id"] is None or last["to_scooter_id"] != request.scooter_id:
        return None
    to_bag = accumulators.taken_by_swap(tx, last["swap_id"], request.contractor_id)
    removed = [request.removed_accumulator_id] if request.removed_accumulator_id else []
    # A reconciled swap took it from any place: then the removed one identifies the contractor.
    same_contractor = (
        last["from_contractor_id"] == request.contractor_id or removed or request.reconcile
    )
    return last if to_bag == removed and same_contractor else None


def _check(tx: Tx, request: SwapRequest, rows: dict[str, Row]) -> dict[str, Row]:
    """Check that the swap is possible; return the accumulators, registering unknown ones."""
    installed_id, removed_id = request.installed_accumulator_id, request.removed_accumulator_id
    installed = rows.get(installed_id)
    if not request.reconcile and not (
        installed and installed["contractor_id"] == request.contractor_id
    ):
        raise AccumulatorNotHeld(accumulator_id=installed_id, place=_place_in(installed))
    removed = rows.get(removed_id) if removed_id else None
    if not request.reconcile and removed and removed["scooter_id"] != request.scooter_id:
        raise AccumulatorNotInScooter(
            accumulator_id=removed["accumulator_id"], place=_place_in(removed)
        )
    new = [{"accumulator_id": installed_id}] if installed is None else []
    if removed_id is not None and removed is None:
        new.append({"accumulator_id": removed_id, "scooter_id": request.scooter_id})
    accumulators.register(tx, new)
    return rows | accumulators.lock(tx, [row["accumulator_id"] for row in new])


def _with_readings(request: SwapRequest, row: Row) -> Row:
    """Return the row with the reported charge; a retired accumulator turns up quarantined."""
    is_retired = row["status"] == "retired"
    status = states.ACCUMULATOR.after("retired", "quarantined") if is_retired else row["status"]
    is_removed = row["accumulator_id"] == request.removed_accumulator_id
    charge = request.removed_battery_charge if is_removed else None
    return {**row, "status": status} | ({} if charge is None else {"battery_charge": charge})


def _moves(swap_id: UUID, request: SwapRequest, rows: dict[str, Row]) -> list[Move]:
    bag = Location(contractor_id=request.contractor_id)
    scooter = Location(scooter_id=request.scooter_id)
    ways = {request.installed_accumulator_id: (bag, scooter)}
    if request.removed_accumulator_id is not None:
        ways[request.removed_accumulator_id] = (scooter, bag)
    # A scooter has room for one: any other that is recorded in it is nowhere known from now on.
    ways = {id_: ways.get(id_, (NOWHERE, NOWHERE)) for id_ in rows}
    return [
        Move(
            accumulator_id=id_,
            to=to,
            cause="swapped",
            swap_id=swap_id,
            discrepancy=location_in(rows[id_]) != expected,
        )
        for id_, (expected, to) in ways.items()
    ]


def _place_in(row: Row | None) -> dict[str, str | int] | None:
    place = place_of(row) if row is not None else None
    return None if place is None else place.model_dump()


def _response(tx: Tx, request: SwapRequest, movement: Row) -> Swap:
    removed_id = request.removed_accumulator_id
    return Swap(
        swap_id=movement["swap_id"],
        scooter_id=request.scooter_id,
        contractor_id=request.contractor_id,
        installed=_accumulator(tx, request.installed_accumulator_id),
        removed=_accumulator(tx, removed_id) if removed_id else None,
        at=movement["at"],
    )


def _accumulator(tx: Tx, accumulator_id: str) -> Accumulator:
    return Accumulator.of(accumulators.get(tx, accumulator_id) or {})
