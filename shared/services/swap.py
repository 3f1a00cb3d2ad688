"""Swaps: the charged accumulator goes into the scooter, the flat one to the contractor."""

from uuid import UUID

from shared.db import Row, Tx
from shared.errors import AccumulatorNotHeld, AccumulatorNotInScooter
from shared.models.accumulators import Accumulator
from shared.models.swaps import Swap, SwapRequest
from shared.repo import accumulators, bookings, cabinets
from shared.repo.accumulators import NOWHERE, Location, Move
from shared.services import holds, place


def record(tx: Tx, swap_id: UUID, request: SwapRequest) -> Swap:
    """Record a swap; the same report again is the same swap.

    Raises AccumulatorNotHeld or AccumulatorNotInScooter, which say where the accumulator is,
    unless the request says `reconcile`: then it is recorded as the fact it is.
    """
    rows = _lock(tx, request)
    movement = _recorded(tx, swap_id, request)
    if movement is None:
        rows = _checked(tx, request, rows)
        readings = [(row, _read(request, row)) for row in rows.values()]
        accumulators.save_readings(tx, [new for row, new in readings if new != row])
        accumulators.move(tx, _moves(swap_id, request, rows))
        for id_ in rows:
            for booking_id in bookings.release_accumulator(tx, id_):
                holds.refill_active(tx, booking_id)
        movement = accumulators.moved_by_swap(tx, swap_id, request.installed_accumulator_id)
    return _answer(tx, request, movement or {})


def _lock(tx: Tx, request: SwapRequest) -> dict[str, Row]:
    """Lock the two accumulators, and whatever else the records put into the scooter."""
    accumulators.lock_scooter(tx, request.scooter_id)
    tx.mark()
    while True:
        rows, cabinet_ids = _attempt_lock(tx, request)
        came = {row["cabinet_id"] for row in rows.values()} - {None} - cabinet_ids
        if not (request.reconcile and came):
            break
        # Recorded in a cell in the meantime: its cabinet is to be locked before it.
        tx.go_back()
    named = {request.installed_accumulator_id, request.removed_accumulator_id}
    # The others may have been taken out of the scooter before they were locked.
    at = request.scooter_id
    return {i: row for i, row in rows.items() if i in named or row["scooter_id"] == at}


def _attempt_lock(tx: Tx, request: SwapRequest) -> tuple[dict[str, Row], set[str]]:
    """The accumulators, and the cabinets, that were locked."""
    wanted = {request.installed_accumulator_id, *accumulators.in_scooter(tx, request.scooter_id)}
    if request.removed_accumulator_id is not None:
        wanted.add(request.removed_accumulator_id)
    # Cabinets are locked before accumulators: those whose bookings may lose one, and those that
    # one may be recorded as taken from without anybody's knowing.
    cabinet_ids = bookings.cabinets_holding(tx, wanted)
    if request.reconcile:
        cabinet_ids |= cabinets.of_accumulators(tx, wanted)
    if cabinet_ids:
        cabinets.lock(tx, cabinet_ids)
        bookings.expire_due(tx, cabinet_ids)
    return accumulators.lock(tx, wanted), cabinet_ids


def _recorded(tx: Tx, swap_id: UUID, request: SwapRequest) -> Row | None:
    """How this swap moved the installed one, if it is recorded: under this id, or as the last."""
    own = accumulators.moved_by_swap(tx, swap_id, request.installed_accumulator_id)
    last = own or accumulators.last_movement(tx, request.installed_accumulator_id)
    if own or last is None:
        return own
    if last["swap_id"] is None or last["to_scooter_id"] != request.scooter_id:
        return None
    to_bag = accumulators.taken_by_swap(tx, last["swap_id"], request.contractor_id)
    wanted = [request.removed_accumulator_id] if request.removed_accumulator_id else []
    # A reconciled one came from wherever the records had it: what was removed tells whose it is.
    is_his = last["from_contractor_id"] == request.contractor_id or wanted or request.reconcile
    return last if to_bag == wanted and is_his else None


def _checked(tx: Tx, request: SwapRequest, rows: dict[str, Row]) -> dict[str, Row]:
    """The accumulators by id, once the swap is possible; one seen for the first time is known."""
    installed_id, removed_id = request.installed_accumulator_id, request.removed_accumulator_id
    installed = rows.get(installed_id)
    if not request.reconcile and not (
        installed and installed["contractor_id"] == request.contractor_id
    ):
        raise AccumulatorNotHeld(accumulator_id=installed_id, place=_told(installed))
    removed = rows.get(removed_id) if removed_id else None
    if not request.reconcile and removed and removed["scooter_id"] != request.scooter_id:
        raise AccumulatorNotInScooter(
            accumulator_id=removed["accumulator_id"], place=_told(removed)
        )
    new = [{"accumulator_id": installed_id}] if installed is None else []
    if removed_id is not None and removed is None:
        new.append({"accumulator_id": removed_id, "scooter_id": request.scooter_id})
    accumulators.register(tx, new)
    return rows | accumulators.lock(tx, [row["accumulator_id"] for row in new])


def _read(request: SwapRequest, row: Row) -> Row:
    """An accumulator as the swap shows it; one that was retired is somewhere after all."""
    status = "quarantined" if row["status"] == "retired" else row["status"]
    told = row["accumulator_id"] == request.removed_accumulator_id
    charge = request.removed_battery_charge if told else None
    return {**row, "status": status} | ({} if charge is None else {"battery_charge": charge})


def _moves(swap_id: UUID, request: SwapRequest, rows: dict[str, Row]) -> list[Move]:
    bag = Location(contractor_id=request.contractor_id)
    scooter = Location(scooter_id=request.scooter_id)
    ways = {request.installed_accumulator_id: (bag, scooter)}
    if request.removed_accumulator_id is not None:
        ways[request.removed_accumulator_id] = (scooter, bag)
    # A scooter takes one: what else the records put into it is not there, and nobody knows where.
    ways = {id_: ways.get(id_, (NOWHERE, NOWHERE)) for id_ in rows}
    return [
        Move(
            accumulator_id=id_,
            to=to,
            cause="swapped",
            swap_id=swap_id,
            discrepancy=place.of(rows[id_]) != expected,
        )
        for id_, (expected, to) in ways.items()
    ]


def _told(row: Row | None) -> dict[str, str | int] | None:
    where = place.place(row) if row is not None else None
    return None if where is None else where.model_dump()


def _answer(tx: Tx, request: SwapRequest, movement: Row) -> Swap:
    removed_id = request.removed_accumulator_id
    return Swap(
        swap_id=movement["swap_id"],
        scooter_id=request.scooter_id,
        contractor_id=request.contractor_id,
        installed=_shown(tx, request.installed_accumulator_id),
        removed=_shown(tx, removed_id) if removed_id else None,
        at=movement["at"],
    )


def _shown(tx: Tx, accumulator_id: str) -> Accumulator:
    return place.accumulator(accumulators.get(tx, accumulator_id) or {})
