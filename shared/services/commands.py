"""Commands that were sent to cabinets: one, and lists of them."""

from uuid import UUID

from shared import cursor
from shared.db import Tx
from shared.models.base import Time
from shared.models.commands import Command, CommandPage, CommandQuery
from shared.repo import commands
from shared.services import dispatch


def get(tx: Tx, command_id: UUID) -> Command:
    """Return a command and its outcome. Raises CommandNotFound."""
    return dispatch.record(dispatch.get(tx, command_id))


def listing(tx: Tx, query: CommandQuery) -> CommandPage:
    """Return a page of the commands to single cabinets, newest first; polls are left out."""
    before_at, before_id = cursor.decode(query.cursor, Time, UUID)
    conditions = {**query.model_dump(), "before_at": before_at, "before_id": before_id}
    rows = commands.listing(tx, conditions)
    last = rows[query.limit - 1] if len(rows) > query.limit else None
    return CommandPage(
        commands=[dispatch.record(row) for row in rows[: query.limit]],
        next_cursor=cursor.encode(last["created_at"], last["command_id"]) if last else None,
    )
