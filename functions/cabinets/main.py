"""Cabinets and cells, the service in numbers, and its health."""

from shared import api, config, db, errors
from shared.models.cabinets import (
    CabinetChange,
    CabinetDetails,
    CabinetPage,
    CabinetQuery,
    CabinetRequest,
    Cell,
    CellChange,
)
from shared.models.stats import Health, Stats
from shared.services import cabinets, stats
from shared.values import CellInPath, Id

handler = api.handler_of(__name__)


@api.route("GET", "/v1/cabinets", scope="read")
def list_cabinets(query: CabinetQuery) -> CabinetPage:
    """Which cabinet has how many: nearest first if the query says `near`, else by id."""
    with db.statements() as tx:
        return cabinets.listing(tx, query, config.settings())


@api.route("POST", "/v1/cabinets", scope="operator", status=201, raises=(errors.CabinetExists,))
def register_cabinet(request: CabinetRequest) -> CabinetDetails:
    """Make a cabinet and its cells known."""
    with db.transaction() as tx:
        return cabinets.register(tx, request, config.settings())


@api.route("GET", "/v1/cabinets/{cabinet_id}", scope="read", raises=(errors.CabinetNotFound,))
def get_cabinet(cabinet_id: Id) -> CabinetDetails:
    """One cabinet with its cells."""
    with db.statements() as tx:
        return cabinets.get(tx, cabinet_id, config.settings())


@api.route("PATCH", "/v1/cabinets/{cabinet_id}", scope="operator", raises=(errors.CabinetNotFound,))
def change_cabinet(cabinet_id: Id, request: CabinetChange) -> CabinetDetails:
    """Change where a cabinet is, or whether it is in service."""
    with db.transaction() as tx:
        return cabinets.change(tx, cabinet_id, request, config.settings())


@api.route(
    "DELETE",
    "/v1/cabinets/{cabinet_id}",
    scope="operator",
    status=204,
    raises=(errors.CabinetNotFound, errors.CabinetNotEmpty),
)
def remove_cabinet(cabinet_id: Id) -> None:
    """Forget a cabinet that holds nothing."""
    with db.transaction() as tx:
        cabinets.remove(tx, cabinet_id)


@api.route(
    "PATCH",
    "/v1/cabinets/{cabinet_id}/cells/{cell_number}",
    scope="operator",
    raises=(errors.CabinetNotFound, errors.CellNotFound),
)
def change_cell(cabinet_id: Id, cell_number: CellInPath, request: CellChange) -> Cell:
    """Take a cell out of use, or put it back."""
    with db.transaction() as tx:
        return cabinets.change_cell(tx, cabinet_id, cell_number, request)


@api.route("GET", "/v1/stats", scope="read")
def get_stats() -> Stats:
    """The service in numbers, with the audit of its invariants."""
    with db.statements() as tx:
        return stats.describe(tx, config.settings())


@api.route("GET", "/v1/health", scope=None)
def get_health() -> tuple[Health, int]:
    """Whether the database and the queue can be reached: 200 if both, else 503."""
    # Nothing else here needs it: it would cost a cold start paho's import.
    from shared import mqtt  # noqa: PLC0415 - paho is for this route alone

    database, queue = db.answers(), mqtt.answers()
    health = Health.of(database=database, queue=queue)
    return health, 200 if health.status == "ok" else 503
