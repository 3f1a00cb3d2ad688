"""Every minute: ask all cabinets for a report, write expiry, keep the feed, remove what is old."""

from typing import Any

from shared import config, db, log, monitoring, mqtt, triggers
from shared.services import feed, poll, retention, stats


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle the timer's event. Raises when the database is down, so that the platform retries."""
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    if not triggers.is_timer(event):
        raise ValueError("poll_cabinets takes only events of the timer trigger")
    db.attribute_to("poll")
    asked = poll.ask_all(mqtt.Publisher(), settings)
    done = {
        **vars(poll.sweep(settings)),
        **vars(feed.keep_up(settings)),
        **vars(retention.apply(settings)),
    }
    log.info("polled", asked=asked, **done)
    if settings.monitoring_folder_id and context.token:
        monitoring.write(
            stats.metrics(settings),
            folder_id=settings.monitoring_folder_id,
            token=context.token["access_token"],
        )
    poll.sample(settings)
    return {"asked": asked, **done}
