"""Swaps at a scooter, and transfers between contractors."""

from shared import api, db, errors
from shared.models.swaps import Swap, SwapRequest
from shared.models.transfers import Transfer, TransferRequest
from shared.services import swap, transfers

handler = api.handler_of(__name__)


@api.route(
    "POST",
    "/v1/swaps",
    scope="backend",
    raises=(errors.AccumulatorNotHeld, errors.AccumulatorNotInScooter),
)
def create_swap(request: SwapRequest, caller: api.Caller) -> Swap:
    """Record which accumulator a contractor put into a scooter, took out of it, or both."""
    with db.transaction() as tx:
        return swap.record(tx, caller.new_id, request)


@api.route("POST", "/v1/transfers", scope="backend", raises=(errors.AccumulatorNotHeld,))
def create_transfer(request: TransferRequest, caller: api.Caller) -> Transfer:
    """Record that one contractor handed accumulators over to another: all of them, or none."""
    with db.transaction() as tx:
        return transfers.record(tx, caller.new_id, request)
