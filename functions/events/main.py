"""What happened: the feed of events; anomalies, and who has seen them."""

from shared import api, db, errors
from shared.models.anomalies import AcknowledgeRequest, Anomaly, AnomalyPage, AnomalyQuery
from shared.models.events import EventPage, EventQuery
from shared.services import anomalies, feed
from shared.values import RowId

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


@api.route("GET", "/v1/anomalies", scope="read")
def list_anomalies(query: AnomalyQuery) -> AnomalyPage:
    """List anomalies; the one that occurred last comes first."""
    with db.statements() as tx:
        return anomalies.listing(tx, query)


@api.route(
    "POST",
    "/v1/anomalies/{anomaly_id}/acknowledge",
    scope="operator",
    raises=(errors.AnomalyNotFound,),
)
def acknowledge_anomaly(
    anomaly_id: RowId, request: AcknowledgeRequest, caller: api.Caller
) -> Anomaly:
    """Record that a person has seen an anomaly; it is open again when it occurs again."""
    with db.transaction() as tx:
        return anomalies.acknowledge(tx, anomaly_id, by=caller.name, note=request.note)
