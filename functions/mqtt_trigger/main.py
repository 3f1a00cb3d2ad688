"""Apply the messages of cabinets that a trigger event carries."""

from typing import Any

from shared import config, db, evidence, log, triggers


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply a batch of messages in one transaction; return the commands that they settled.

    Whoever delivers the batch wakes the callers that wait for these. Raises when the database
    fails, so that the batch is delivered again.
    """
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    db.attribute_to(None)
    messages = triggers.raw_messages(event)
    with db.transaction() as tx:
        applied = evidence.apply_messages(
            tx,
            messages,
            reconcile_seconds=settings.reconcile_seconds,
            limits=evidence.Limits(
                claims_per_hour=settings.suspect_claims_per_hour,
                unknown_per_day=settings.unknown_accumulators_per_day,
            ),
        )
    log.debug("messages applied", messages=len(messages), anomalies=applied.anomalies)
    settled = [str(command_id) for command_id in applied.settled]
    return {"messages": len(messages), "anomalies": applied.anomalies, "settled": settled}
