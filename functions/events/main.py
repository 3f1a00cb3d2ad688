"""What happened: anomalies, and who has seen them."""

from shared import api, db, errors
from shared.models.anomalies import AcknowledgeRequest, Anomaly, AnomalyPage, AnomalyQuery
from shared.services import anomalies
from shared.values import RowId

handler = api.handler_of(__name__)


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
