"""Commands to cabinets: unlock a booking's cells, send any command."""

from shared import api, config, db, errors, mqtt, replica
from shared.api.commands import CommandRequest
from shared.models.commands import Command, CommandPage, CommandQuery, Unlock
from shared.services import commands, dispatch, unlock
from shared.services.dispatch import Sender
from shared.states import COMMAND_IN_FLIGHT
from shared.values import Id, OwnId

handler = api.handler_of(__name__)


@api.route(
    "POST",
    "/v1/bookings/{booking_id}/unlock",
    scope="backend",
    raises=(
        errors.BookingNotFound,
        errors.BookingExpired,
        errors.BookingNotActive,
        errors.CabinetInactive,
        errors.CabinetRejected,
        errors.QueueUnavailable,
        errors.CabinetNoAnswer,
    ),
)
def unlock_booking(
    booking_id: OwnId, caller: api.Caller, prefer: api.Preferences
) -> Unlock | api.Accepted:
    """Open the cells of a booking, wait for the cabinet, and return what it did."""
    found = unlock.open_cells(booking_id, _sender(caller, prefer))
    return found if isinstance(found, Unlock) else api.Accepted(found)


@api.route(
    "POST",
    "/v1/cabinets/{cabinet_id}/commands",
    scope="backend",
    raises=(
        errors.CabinetNotFound,
        errors.CellNotFound,
        errors.CabinetRejected,
        errors.QueueUnavailable,
        errors.CabinetNoAnswer,
    ),
)
def send_command(
    cabinet_id: Id, request: CommandRequest, caller: api.Caller, prefer: api.Preferences
) -> Command | api.Accepted:
    """Send a command to a cabinet and wait for its outcome; each command needs its own scope."""
    caller.require(request.scope)
    command = dispatch.send(
        request.command(),
        cabinet_id,
        _sender(caller, prefer),
        command_id=caller.new_id,
        **request.details(),
    )
    return api.Accepted(command) if command.status in COMMAND_IN_FLIGHT else command


# `cabinets` has these two, so that no reader uses up the concurrent calls of unlocks.


@api.route("GET", "/v1/commands", scope="read", cost=1, moved=True)
def list_commands(query: CommandQuery) -> CommandPage:
    """List the commands that were sent to single cabinets, newest first."""
    with replica.reads() as tx:
        return commands.listing(tx, query)


@api.route(
    "GET",
    "/v1/commands/{command_id}",
    scope="read",
    raises=(errors.CommandNotFound,),
    moved=True,
)
def get_command(command_id: OwnId) -> Command:
    """Return a command and its outcome, also after a 504."""
    with db.statements() as tx:
        return commands.get(tx, command_id)


def _sender(caller: api.Caller, prefer: api.Preferences) -> Sender:
    return Sender(mqtt.Publisher(), config.settings(), caller.name, prefer.max_wait_s)
