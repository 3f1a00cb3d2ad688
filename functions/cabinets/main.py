"""Cabinets, cells, commands; imports; the fleet at a glance; statistics, health; the key."""

from shared import api, config, db, errors, replica
from shared.models.attention import Attention, AttentionQuery
from shared.models.cabinets import (
    CabinetChange,
    CabinetDetails,
    CabinetPage,
    CabinetQuery,
    CabinetRequest,
    Cell,
    CellChange,
)
from shared.models.claims import UndoneClaims, UndoRequest
from shared.models.commands import Command, CommandPage, CommandQuery
from shared.models.imports import Import, ImportRequest
from shared.models.overview import History, HistoryQuery, Overview, OverviewQuery
from shared.models.search import SearchQuery, SearchResults
from shared.models.stats import ApiKey, Liveness, Readiness, Stats
from shared.services import attention, cabinets, claims, commands, imports, overview, search, stats
from shared.values import CellInPath, Id, OwnId

handler = api.handler_of(__name__)


@api.route("GET", "/v1/cabinets", scope="read", cost=2)
def list_cabinets(query: CabinetQuery) -> CabinetPage:
    """List cabinets with their stock: nearest first if the query has `near`, else by id."""
    with replica.reads() as tx:
        return cabinets.listing(tx, query, config.settings())


@api.route("POST", "/v1/cabinets", scope="operator", status=201, raises=(errors.CabinetExists,))
def register_cabinet(request: CabinetRequest) -> CabinetDetails:
    """Register a cabinet and its cells."""
    with db.transaction() as tx:
        return cabinets.register(tx, request, config.settings())


@api.route("POST", "/v1/imports", scope="operator", cost=20)
def import_fleet(request: ImportRequest) -> Import:
    """Take up to 1,000 cabinets and accumulators into service; say what became of each.

    An item that fails changes nothing and stops no other. The same import again changes nothing.
    """
    with db.transaction() as tx:
        return imports.run(tx, request, config.settings())


@api.route("GET", "/v1/cabinets/{cabinet_id}", scope="read", raises=(errors.CabinetNotFound,))
def get_cabinet(cabinet_id: Id) -> CabinetDetails:
    """Return one cabinet with its cells."""
    with db.statements() as tx:
        return cabinets.get(tx, cabinet_id, config.settings())


@api.route(
    "PATCH",
    "/v1/cabinets/{cabinet_id}",
    scope="operator",
    raises=(errors.CabinetNotFound, errors.CellsInUse, errors.DeviceExists),
)
def change_cabinet(cabinet_id: Id, request: CabinetChange) -> CabinetDetails:
    """Change a cabinet: where it is, its status, its number of cells, its device."""
    with db.transaction() as tx:
        return cabinets.change(tx, cabinet_id, request, config.settings())


@api.route(
    "POST",
    "/v1/cabinets/{cabinet_id}/undo",
    scope="operator",
    raises=(errors.CabinetNotFound,),
)
def undo_claims(cabinet_id: Id, request: UndoRequest) -> UndoneClaims:
    """Return the accumulators that a cabinet claimed to where they were before.

    Each gets a movement `corrected` with the reason. What others have reported since stays. Those
    that the claim alone has quarantined are in service again.
    """
    with db.transaction() as tx:
        return claims.undo(tx, cabinet_id, request)


@api.route(
    "DELETE",
    "/v1/cabinets/{cabinet_id}",
    scope="operator",
    status=204,
    raises=(errors.CabinetNotFound, errors.CabinetNotEmpty),
)
def remove_cabinet(cabinet_id: Id) -> None:
    """Remove an empty cabinet."""
    with db.transaction() as tx:
        cabinets.remove(tx, cabinet_id)


@api.route(
    "PATCH",
    "/v1/cabinets/{cabinet_id}/cells/{cell_number}",
    scope="operator",
    raises=(errors.CabinetNotFound, errors.CellNotFound),
)
def change_cell(cabinet_id: Id, cell_number: CellInPath, request: CellChange) -> Cell:
    """Take a cell out of use, or put it back in use."""
    with db.transaction() as tx:
        return cabinets.change_cell(tx, cabinet_id, cell_number, request)


@api.route("GET", "/v1/commands", scope="read", cost=1)
def list_commands(query: CommandQuery) -> CommandPage:
    """List the commands that were sent to single cabinets, newest first."""
    with replica.reads() as tx:
        return commands.listing(tx, query)


@api.route("GET", "/v1/commands/{command_id}", scope="read", raises=(errors.CommandNotFound,))
def get_command(command_id: OwnId) -> Command:
    """Return a command and its outcome, also after a 504."""
    with db.statements() as tx:
        return commands.get(tx, command_id)


@api.route("GET", "/v1/overview", scope="read", etag=True, cost=5)
def get_overview(query: OverviewQuery) -> Overview:
    """Return the fleet at a glance: cabinets as columns, and where accumulators are."""
    with replica.reads() as tx:
        return overview.describe(tx, query, config.settings())


@api.route("GET", "/v1/attention", scope="read", cost=5)
def list_attention(query: AttentionQuery) -> Attention:
    """List what needs a person, most urgent first.

    By kind in the order of `counts`, then the oldest first. Counts are exact up to 1,000 of a
    kind; of more than that, the oldest 1,000 are counted and listed.
    """
    with replica.reads() as tx:
        return attention.listing(tx, query, config.settings())


@api.route("GET", "/v1/history", scope="read", cost=5)
def get_history(query: HistoryQuery) -> History:
    """Return the stock and the unlocks of the last hours, for charts."""
    with replica.reads() as tx:
        return overview.past(tx, query)


@api.route("GET", "/v1/search", scope="read", cost=1)
def find_ids(query: SearchQuery) -> SearchResults:
    """Find what has an id, or begins with it.

    Anything that has exactly this id comes first: an accumulator in any case, a cabinet also by its
    `device_id`, a contractor or a scooter that has an accumulator, a booking or a movement.
    Cabinets and accumulators whose ids begin with it follow. At most 20 in all.
    """
    with replica.reads() as tx:
        return search.find(tx, query)


@api.route("GET", "/v1/stats", scope="read", cost=50)
def get_stats() -> Stats:
    """Return the service's statistics, with the audit of its invariants."""
    with replica.reads() as tx:
        return stats.describe(tx, config.settings())


@api.route("GET", "/v1/me", scope="read")
def get_me(caller: api.Caller) -> ApiKey:
    """Return the name and the scope of the request's key."""
    return ApiKey(caller=caller.name, scope=caller.scope)


@api.route("GET", "/v1/health", scope=None)
def get_health() -> Liveness:
    """Answer at once, from memory: the API is served. Nothing behind it is checked."""
    return Liveness()


@api.route("GET", "/v1/health/ready", scope="read")
def get_readiness() -> tuple[Readiness, int]:
    """Check whether the database and the queue can be reached: 200 if both, else 503."""
    from shared import mqtt  # noqa: PLC0415 - imports paho, which no other route here needs

    database, queue = db.is_reachable(), mqtt.is_reachable()
    readiness = Readiness.of(database=database, queue=queue)
    return readiness, 200 if readiness.status == "ok" else 503
