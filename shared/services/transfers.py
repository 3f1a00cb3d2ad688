"""Transfers: accumulators go from one contractor to another."""

from uuid import UUID

from shared.db import Row, Tx
from shared.models.accumulators import Accumulator
from shared.models.transfers import Transfer, TransferRequest
from shared.repo import accumulators
from shared.repo.accumulators import Move, location_in
from shared.services import custody
from shared.values import NOWHERE, Location


def record(tx: Tx, transfer_id: UUID, request: TransferRequest) -> Transfer:
    """Record a transfer of all accumulators; a repeated report returns the recorded transfer.

    Raises AccumulatorNotHeld, which names those that the first contractor does not have, unless the
    request has `reconcile`: then it is recorded with discrepancies; unknown ones are registered.
    """
    ids = request.accumulator_ids
    rows = custody.lock(
        tx,
        lambda: {*ids},
        register=dict.fromkeys(ids, NOWHERE) if request.reconcile else {},
        reconcile=request.reconcile,
    )
    recorded = _recorded(tx, transfer_id, request)
    if not recorded:
        if not request.reconcile:
            custody.check_held(rows, ids, request.from_contractor_id)
        custody.record(tx, rows, _moves(transfer_id, request, rows), charges={})
        recorded = accumulators.moved_by_transfer(tx, transfer_id)
    found = accumulators.get_all(tx, ids)
    return Transfer(
        transfer_id=recorded[0]["transfer_id"],
        from_contractor_id=request.from_contractor_id,
        to_contractor_id=request.to_contractor_id,
        accumulators=[Accumulator.of(found[id_]) for id_ in ids],
        at=recorded[0]["at"],
        requested_by=recorded[0]["requested_by"],
    )


def _recorded(tx: Tx, transfer_id: UUID, request: TransferRequest) -> list[Row]:
    """Return the movements of this transfer if it is recorded already.

    It is recorded under this id, or the last movements of all these accumulators are those of one
    transfer of the same accumulators between the same contractors.
    """
    own = accumulators.moved_by_transfer(tx, transfer_id)
    last = own or accumulators.last_movements(tx, request.accumulator_ids)
    transfers = {row["transfer_id"] for row in last}
    if own or None in transfers or len(transfers) != 1:
        return own
    earlier = accumulators.moved_by_transfer(tx, transfers.pop())
    is_last = {row["movement_id"] for row in earlier} == {row["movement_id"] for row in last}
    is_of_all = {row["accumulator_id"] for row in earlier} == {*request.accumulator_ids}
    is_same = is_last and is_of_all and all(_is_between(row, request) for row in earlier)
    return earlier if is_same else []


def _is_between(row: Row, request: TransferRequest) -> bool:
    """Whether a movement is from the one contractor to the other, whatever the records said."""
    is_from = row["from_contractor_id"] == request.from_contractor_id
    is_to = bool(row["to_contractor_id"] == request.to_contractor_id)
    return is_to and (is_from or row["reason"] == _giver(request))


def _moves(transfer_id: UUID, request: TransferRequest, rows: dict[str, Row]) -> list[Move]:
    bag = Location(contractor_id=request.from_contractor_id)
    unexpected = {id_ for id_, row in rows.items() if location_in(row) != bag}
    return [
        Move(
            accumulator_id=id_,
            to=Location(contractor_id=request.to_contractor_id),
            cause="transferred",
            transfer_id=transfer_id,
            discrepancy=id_ in unexpected,
            reason=_giver(request) if id_ in unexpected else None,
        )
        for id_ in request.accumulator_ids
    ]


def _giver(request: TransferRequest) -> str:
    """Say who handed an accumulator over, for the ledger: the records had it elsewhere."""
    return f"handed over by {request.from_contractor_id}"
