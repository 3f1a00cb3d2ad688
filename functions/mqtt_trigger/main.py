"""What cabinets say: from the trigger's event into the database."""

from typing import Any

from shared import config, db, events, log
from shared.services import ingest


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply a batch of messages, all or nothing.

    Raises when the database fails, so that the batch is delivered again.
    """
    log.begin(config.settings().log_level, request_id=context.request_id)
    envelopes = events.envelopes(event)
    with db.transaction() as tx:
        anomalies = ingest.apply(tx, envelopes)
    log.debug("messages applied", messages=len(envelopes), anomalies=anomalies)
    return {"messages": len(envelopes), "anomalies": anomalies}
