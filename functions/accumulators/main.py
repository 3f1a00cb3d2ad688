"""Accumulators: register, look up, correct, retire; chain of custody; contractors."""

from shared import api, db, errors
from shared.models.accumulators import (
    Accumulator,
    AccumulatorChange,
    AccumulatorPage,
    AccumulatorQuery,
    AccumulatorRequest,
    MovementPage,
    MovementQuery,
)
from shared.models.base import Page
from shared.models.contractors import ContractorPage, ContractorQuery
from shared.services import accumulators, contractors
from shared.values import AccumulatorId

handler = api.handler_of(__name__)


@api.route("GET", "/v1/accumulators", scope="read", cost=1)
def list_accumulators(query: AccumulatorQuery) -> AccumulatorPage:
    """List accumulators, by id."""
    with db.statements() as tx:
        return accumulators.listing(tx, query)


@api.route(
    "POST",
    "/v1/accumulators",
    scope="operator",
    status=201,
    raises=(errors.AccumulatorExists,),
)
def register_accumulator(request: AccumulatorRequest) -> Accumulator:
    """Register an accumulator: with a contractor, in a scooter, or nowhere known."""
    with db.transaction() as tx:
        return accumulators.register(tx, request)


@api.route(
    "GET",
    "/v1/accumulators/{accumulator_id}",
    scope="read",
    raises=(errors.AccumulatorNotFound,),
)
def get_accumulator(accumulator_id: AccumulatorId) -> Accumulator:
    """Return one accumulator and its place."""
    with db.statements() as tx:
        return accumulators.get(tx, accumulator_id)


@api.route(
    "PATCH",
    "/v1/accumulators/{accumulator_id}",
    scope="operator",
    raises=(
        errors.AccumulatorNotFound,
        errors.CellNotFound,
        errors.AccumulatorInUse,
        errors.PlaceTaken,
    ),
)
def correct_accumulator(accumulator_id: AccumulatorId, request: AccumulatorChange) -> Accumulator:
    """Correct status, place or charge; the ledger keeps the reason."""
    with db.transaction() as tx:
        return accumulators.correct(tx, accumulator_id, request)


@api.route(
    "DELETE",
    "/v1/accumulators/{accumulator_id}",
    scope="operator",
    status=204,
    raises=(errors.AccumulatorNotFound, errors.AccumulatorInUse),
)
def retire_accumulator(accumulator_id: AccumulatorId) -> None:
    """Retire an accumulator; its ledger stays."""
    with db.transaction() as tx:
        accumulators.retire(tx, accumulator_id)


@api.route(
    "GET",
    "/v1/accumulators/{accumulator_id}/movements",
    scope="read",
    raises=(errors.AccumulatorNotFound,),
    cost=1,
)
def list_movements(accumulator_id: AccumulatorId, query: Page) -> MovementPage:
    """List an accumulator's chain of custody, newest first."""
    with db.statements() as tx:
        return accumulators.movements(tx, accumulator_id, query)


@api.route("GET", "/v1/movements", scope="read", cost=1)
def list_all_movements(query: MovementQuery) -> MovementPage:
    """List the movements of all accumulators, oldest first, or newest first if asked."""
    with db.statements() as tx:
        return accumulators.all_movements(tx, query)


@api.route("GET", "/v1/contractors", scope="read", cost=1)
def list_contractors(query: ContractorQuery) -> ContractorPage:
    """List who carries what since when, and the open bookings, by contractor."""
    with db.statements() as tx:
        return contractors.listing(tx, query)
