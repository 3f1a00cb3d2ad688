"""Swaps: the charged accumulator goes into the scooter, the flat one to the contractor.

Either may be missing: the scooter gets its first accumulator, or is left without one.
"""

from uuid import UUID

from shared.db import Row, Tx
from shared.errors import AccumulatorNotInScooter
from shared.models.accumulators import Accumulator
from shared.models.swaps import Swap, SwapRequest
from shared.repo import accumulators
from shared.repo.accumulators import Move, location_in
from shared.services import custody
from shared.values import NOWHERE, Location


def record(tx: Tx, swap_id: UUID, request: SwapRequest) -> Swap:
    """Record a swap; a repeated report returns the recorded swap.

    Raises AccumulatorNotHeld or AccumulatorNotInScooter, which name the accumulator's place, unless
    the request has `reconcile`: then it is recorded with discrepancies.
    """
    rows = _lock(tx, request)
    recorded = _recorded(tx, swap_id, request)
    if not recorded:
        _check(request, rows)
        charges = {}
        if request.removed_accumulator_id is not None:
            charges[request.removed_accumulator_id] = request.removed_battery_charge
        custody.record(tx, rows, _moves(swap_id, request, rows), charges=charges)
        recorded = accumulators.moved_by_swap(tx, swap_id)
    return _response(tx, request, recorded[0])


def _named(request: SwapRequest) -> list[str]:
    """Return the accumulators that the report names, the installed one first."""
    both = (request.installed_accumulator_id, request.removed_accumulator_id)
    return [accumulator_id for accumulator_id in both if accumulator_id is not None]


def _lock(tx: Tx, request: SwapRequest) -> dict[str, Row]:
    """Lock the named accumulators and any other that is recorded in the scooter; return them.

    An unknown one that was removed is registered in the scooter; an unknown one that was installed
    only if the swap is recorded whatever the records say.
    """
    at, named = request.scooter_id, _named(request)
    register = {}
    if request.removed_accumulator_id is not None:
        register[request.removed_accumulator_id] = Location(scooter_id=at)
    if request.installed_accumulator_id is not None and request.reconcile:
        register[request.installed_accumulator_id] = NOWHERE
    accumulators.lock_scooter(tx, at)
    rows = custody.lock(
        tx,
        lambda: {*named, *accumulators.in_scooter(tx, at)},
        register=register,
        reconcile=request.reconcile,
    )
    # The others may have left the scooter before they were locked.
    return {i: row for i, row in rows.items() if i in named or row["scooter_id"] == at}


def _recorded(tx: Tx, swap_id: UUID, request: SwapRequest) -> list[Row]:
    """Return the movements of this swap if it is recorded already.

    It is recorded under this id, or the last movement of the first accumulator that the report
    names is that of the same swap, reported before.
    """
    own = accumulators.moved_by_swap(tx, swap_id)
    last = own or accumulators.last_movements(tx, _named(request)[:1])
    if own or not last or last[0]["swap_id"] is None:
        return own
    earlier = accumulators.moved_by_swap(tx, last[0]["swap_id"])
    return earlier if _is_same(request, earlier) else []


def _is_same(request: SwapRequest, earlier: list[Row]) -> bool:
    """Whether these movements are those of the swap that the request reports."""
    installed = [row for row in earlier if row["to_scooter_id"]]
    removed = [row for row in earlier if row["to_contractor_id"]]
    named = [row["accumulator_id"] for row in (*installed, *removed)]
    if named != _named(request) or len(installed) != bool(request.installed_accumulator_id):
        return False
    is_two_sided = len(named) > 1
    return all(
        row["to_scooter_id"] == request.scooter_id
        and (is_two_sided or _came_from(row, "contractor_id", request))
        for row in installed
    ) and all(
        row["to_contractor_id"] == request.contractor_id
        and (is_two_sided or _came_from(row, "scooter_id", request))
        for row in removed
    )


def _came_from(row: Row, column: str, request: SwapRequest) -> bool:
    """Whether an accumulator came from the place that the request says.

    A reconciled swap may have taken it from any other place in the records.
    """
    is_there = bool(row[f"from_{column}"] == getattr(request, column))
    return is_there or (request.reconcile and row["discrepancy"])


def _check(request: SwapRequest, rows: dict[str, Row]) -> None:
    """Raise an error if the report contradicts the records and must not."""
    if request.reconcile:
        return
    if request.installed_accumulator_id is not None:
        custody.check_held(rows, [request.installed_accumulator_id], request.contractor_id)
    removed = rows.get(request.removed_accumulator_id or "")
    if removed is not None and removed["scooter_id"] != request.scooter_id:
        raise AccumulatorNotInScooter(
            accumulator_id=removed["accumulator_id"],
            place=custody.place_in(removed),
            detail=f"{removed['accumulator_id']} is {custody.describe(removed)}, not in scooter"
            f" {request.scooter_id}. {custody.RECONCILE}",
        )


def _moves(swap_id: UUID, request: SwapRequest, rows: dict[str, Row]) -> list[Move]:
    bag = Location(contractor_id=request.contractor_id)
    scooter = Location(scooter_id=request.scooter_id)
    # A scooter has room for one: any other that is recorded in it is nowhere known from now on.
    ways = dict.fromkeys(rows, (NOWHERE, NOWHERE))
    if request.installed_accumulator_id is not None:
        ways[request.installed_accumulator_id] = (bag, scooter)
    if request.removed_accumulator_id is not None:
        ways[request.removed_accumulator_id] = (scooter, bag)
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


def _response(tx: Tx, request: SwapRequest, movement: Row) -> Swap:
    found = accumulators.get_all(tx, _named(request))
    shown = {id_: Accumulator.of(row) for id_, row in found.items()}
    return Swap(
        swap_id=movement["swap_id"],
        scooter_id=request.scooter_id,
        contractor_id=request.contractor_id,
        installed=shown.get(request.installed_accumulator_id or ""),
        removed=shown.get(request.removed_accumulator_id or ""),
        at=movement["at"],
        requested_by=movement["requested_by"],
    )
