"""Anomalies: read them, and record who has seen them."""

from typing import Annotated

from pydantic import Field

from shared import cursor, log
from shared.db import Tx
from shared.errors import AnomalyNotFound
from shared.models.anomalies import Anomaly, AnomalyPage, AnomalyQuery
from shared.models.base import Time
from shared.repo import anomalies

AnomalyId = Annotated[int, Field(ge=1, lt=2**63)]


def listing(tx: Tx, query: AnomalyQuery) -> AnomalyPage:
    """Return a page of anomalies; the one that occurred last comes first.

    One that is repeated meanwhile moves to the beginning: following pages do not have it again.
    """
    before_at, before_id = cursor.decode(query.cursor, Time, AnomalyId)
    conditions = {**query.model_dump(), "before_at": before_at, "before_id": before_id}
    rows = anomalies.listing(tx, conditions)
    last = rows[query.limit - 1] if len(rows) > query.limit else None
    return AnomalyPage(
        anomalies=[Anomaly.of(row) for row in rows[: query.limit]],
        next_cursor=cursor.encode(last["at"], last["anomaly_id"]) if last else None,
    )


def acknowledge(tx: Tx, anomaly_id: int, *, by: str, note: str) -> Anomaly:
    """Record that a person has seen an anomaly: it is no longer open until it occurs again.

    The same note again changes nothing, whoever sends it; another note replaces the last one.
    """
    if anomalies.acknowledge(tx, anomaly_id, by=by, note=note):
        log.info("anomaly acknowledged", anomaly_id=anomaly_id, note=note)
    row = anomalies.get(tx, anomaly_id)
    if row is None:
        raise AnomalyNotFound
    return Anomaly.of(row)
