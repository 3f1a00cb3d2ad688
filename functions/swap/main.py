"""Swaps at a scooter."""

from shared import api, db, errors
from shared.models.swaps import Swap, SwapRequest
from shared.services import swap

handler = api.handler_of(__name__)


@api.route(
    "POST",
    "/v1/swaps",
    scope="backend",
    raises=(errors.AccumulatorNotHeld, errors.AccumulatorNotInScooter),
)
def create_swap(request: SwapRequest, caller: api.Caller) -> Swap:
    """Record that a contractor put a charged accumulator into a scooter and took the flat one."""
    with db.transaction() as tx:
        return swap.record(tx, caller.new_id, request)
