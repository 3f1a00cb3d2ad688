"""The feed: what happened, in order."""

from shared import api, config, db, errors
from shared.models.events import EventPage, EventQuery
from shared.services import feed

handler = api.handler_of(__name__)


@api.route("GET", "/v1/events", scope="read", raises=(errors.CursorExpired,))
def list_events(query: EventQuery) -> EventPage:
    """Return the events after a cursor, in order, and the cursor for the next request.

    Without `after` there are no events, only a cursor for what happens from now on. A page may have
    fewer events than `limit`, or none, and more may follow: the end is reached when `cursor` is the
    one that was sent. Then wait a moment before asking again.
    """
    with db.statements() as tx:
        return feed.read(tx, query)
