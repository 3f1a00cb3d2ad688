"""Apply the messages of cabinets that a trigger event carries."""

from typing import Any

from shared import config, db, evidence, log, triggers


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply a batch of messages in one transaction.

    Raises when the database fails, so that the batch is delivered again.
    """
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    db.attribute_to(None)
    messages = triggers.raw_messages(event)
    with db.transaction() as tx:
        anomalies = evidence.apply_messages(
            tx,
            messages,
            reconcile_seconds=settings.reconcile_seconds,
            limits=evidence.Limits(
                claims_per_hour=settings.suspect_claims_per_hour,
                unknown_per_day=settings.unknown_accumulators_per_day,
            ),
        )
    log.debug("messages applied", messages=len(messages), anomalies=anomalies)
    return {"messages": len(messages), "anomalies": anomalies}
