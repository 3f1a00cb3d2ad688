"""Commands to cabinets: unlock a booking's cells, send any command, look up its outcome."""

from shared import api, config, db, errors, mqtt
from shared.api.commands import CommandRequest
from shared.models.commands import Command, Unlock
from shared.services import dispatch, unlock
from shared.services.dispatch import Sender
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
def unlock_booking(booking_id: OwnId, caller: api.Caller) -> Unlock:
    """Open the cells of a booking, wait for the cabinet, and return what it did."""
    return unlock.open_cells(booking_id, _sender(caller))


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
def send_command(cabinet_id: Id, request: CommandRequest, caller: api.Caller) -> Command:
    """Send a command to a cabinet and wait for its outcome; each command needs its own scope."""
    caller.require(request.scope)
    return dispatch.send(
        request.command(),
        cabinet_id,
        _sender(caller),
        command_id=caller.new_id,
        **request.details(),
    )


@api.route("GET", "/v1/commands/{command_id}", scope="read", raises=(errors.CommandNotFound,))
def get_command(command_id: OwnId) -> Command:
    """Return a command and its outcome, also after a 504."""
    with db.statements() as tx:
        return dispatch.record(dispatch.get(tx, command_id))


def _sender(caller: api.Caller) -> Sender:
    return Sender(mqtt.Publisher(), config.settings(), requested_by=caller.name)
