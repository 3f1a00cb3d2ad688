"""Every minute: ask all cabinets for their state, write down expiry, push the metrics."""

from typing import Any

from shared import config, db, events, log, monitoring, mqtt
from shared.services import poll, stats


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer the timer trigger. Raises when the database is down, so that the platform retries."""
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    if not events.is_timer(event):
        raise ValueError("poll_cabinets takes the timer trigger's event")
    asked = poll.ask_all(mqtt.Publisher(), settings)
    swept = poll.sweep(settings)
    log.info("polled", asked=asked, **vars(swept))
    if settings.monitoring_folder_id and context.token:
        with db.transaction() as tx:
            metrics = stats.metrics(tx, settings)
        token = context.token["access_token"]
        monitoring.write(metrics, folder_id=settings.monitoring_folder_id, token=token)
    return {"asked": asked, **vars(swept)}
