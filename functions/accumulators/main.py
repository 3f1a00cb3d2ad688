"""Accumulators: register, look up, correct, retire; chain of custody; contractors."""

from shared import api, db, errors, replica
from shared.models.accumulators import (
    Accumulator,
    AccumulatorChange,
    AccumulatorPage,
    AccumulatorQuery,
    AccumulatorRequest,
    CustodyQuery,
    MovementPage,
    MovementQuery,
)
from shared.models.base import Page
from shared.models.contractors import ContractorData, ContractorPage, ContractorQuery, Erasure
from shared.services import accumulators, contractors, erasure
from shared.values import AccumulatorId, Id

handler = api.handler_of(__name__)


@api.route("GET", "/v1/accumulators", scope="read", cost=1)
def list_accumulators(query: AccumulatorQuery) -> AccumulatorPage:
    """List accumulators, by id."""
    with replica.reads() as tx:
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
def list_movements(accumulator_id: AccumulatorId, query: CustodyQuery) -> MovementPage:
    """List an accumulator's chain of custody, newest first."""
    with replica.reads() as tx:
        return accumulators.movements(tx, accumulator_id, query)


@api.route("GET", "/v1/movements", scope="read", cost=1)
def list_all_movements(query: MovementQuery) -> MovementPage:
    """List the movements of all accumulators, oldest first, or newest first if asked."""
    with replica.reads() as tx:
        return accumulators.all_movements(tx, query)


@api.route("GET", "/v1/contractors", scope="read", cost=1)
def list_contractors(query: ContractorQuery) -> ContractorPage:
    """List who carries what since when, and the open bookings, by contractor."""
    with replica.reads() as tx:
        return contractors.listing(tx, query)


@api.route(
    "GET",
    "/v1/contractors/{contractor_id}/data",
    scope="operator",
    raises=(errors.ContractorNotFound,),
)
def export_contractor(contractor_id: Id, query: Page) -> ContractorData:
    """Return everything that is stored about a contractor.

    Accumulators that the contractor has now, bookings with their cells, the commands of these
    bookings and those sent for the contractor, movements, anomalies. Events and responses to
    repeated requests only repeat these, and are not here. Archived months are named.
    """
    with db.statements() as tx:
        return erasure.export(tx, contractor_id, query)


@api.route(
    "DELETE",
    "/v1/contractors/{contractor_id}",
    scope="operator",
    raises=(errors.ContractorNotFound, errors.ContractorInUse),
)
def erase_contractor(contractor_id: Id) -> Erasure:
    """Replace the contractor's id by a pseudonym in everything that is stored, for good.

    The pseudonym is random, one for all, and nothing stores whose it is. Refused while the
    contractor has anything. What takes longer than a few seconds goes on in the background; asking
    again says whether it is done: then nothing is stored about the contractor, and the answer is
    404.
    """
    return erasure.erase(contractor_id)
