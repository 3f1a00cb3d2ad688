"""What happened: the feed, anomalies. Webhooks, and the timer that delivers the feed to them."""

from typing import Any

from shared import api, config, db, errors, log, replica, triggers
from shared.models.anomalies import AcknowledgeRequest, Anomaly, AnomalyPage, AnomalyQuery
from shared.models.events import EventPage, EventQuery
from shared.models.webhooks import (
    WebhookChange,
    WebhookList,
    WebhookRequest,
    WebhookTest,
    WebhookWithSecret,
)
from shared.services import anomalies, feed, webhooks
from shared.values import OwnId, RowId
from shared.webhooks.outcome import TIMEOUT_SECONDS, Sender

DELIVERY_SECONDS = 55
"""Of each minute; the rest is for the attempts that run then."""

_serve = api.handler_of(__name__)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Serve a request, or deliver to webhooks if this is the timer's event."""
    if not triggers.is_timer(event):
        return _serve(event, context)
    from shared.services import deliveries  # noqa: PLC0415 - no route needs it

    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    db.attribute_to("service")
    left = context.get_remaining_time_in_millis() / 1000 - TIMEOUT_SECONDS - 3
    done = deliveries.Deliverer(settings, _new_sender).run(min(DELIVERY_SECONDS, left))
    log.debug("delivered to webhooks", **vars(done))
    return vars(done)


@api.route("GET", "/v1/events", scope="read", raises=(errors.CursorExpired,), cost=1)
def list_events(query: EventQuery) -> EventPage:
    """Return the events after a cursor, in order, and the cursor for the next request.

    Without `after` there are no events, only a cursor for what happens from now on. A page may have
    fewer events than `limit`, or none, and more may follow: the end is reached when `cursor` is the
    one that was sent. Then wait a moment before asking again.
    """
    return feed.read(query)


@api.route("GET", "/v1/anomalies", scope="read", cost=1)
def list_anomalies(query: AnomalyQuery) -> AnomalyPage:
    """List anomalies; the one that occurred last comes first."""
    with replica.reads() as tx:
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


@api.route("GET", "/v1/webhooks", scope="operator")
def list_webhooks() -> WebhookList:
    """List webhooks, oldest first, and how far their deliveries are."""
    with db.statements() as tx:
        return webhooks.listing(tx)


@api.route(
    "POST",
    "/v1/webhooks",
    scope="operator",
    status=201,
    raises=(errors.TooManyWebhooks,),
    shows_secret=True,
)
def create_webhook(request: WebhookRequest, caller: api.Caller) -> WebhookWithSecret:
    """Make a webhook: events from now on are sent to it. The response shows its secret, once."""
    webhooks.check_url(request.url, config.settings())
    with db.transaction() as tx:
        return webhooks.create(tx, caller.new_id, request, config.settings())


@api.route("PATCH", "/v1/webhooks/{webhook_id}", scope="operator", raises=(errors.WebhookNotFound,))
def change_webhook(webhook_id: OwnId, request: WebhookChange) -> WebhookWithSecret:
    """Change a webhook: its URL, which events it gets, pause or resume it, rotate its secret."""
    webhooks.check_url(request.url, config.settings())
    with db.transaction() as tx:
        return webhooks.change(tx, webhook_id, request, config.settings())


@api.route(
    "DELETE",
    "/v1/webhooks/{webhook_id}",
    scope="operator",
    status=204,
    raises=(errors.WebhookNotFound,),
)
def remove_webhook(webhook_id: OwnId) -> None:
    """Remove a webhook. What is being sent at this moment still arrives."""
    with db.transaction() as tx:
        webhooks.remove(tx, webhook_id)


@api.route(
    "POST",
    "/v1/webhooks/{webhook_id}/test",
    scope="operator",
    raises=(errors.WebhookNotFound,),
)
def test_webhook(webhook_id: OwnId) -> WebhookTest:
    """Send one event of type `webhook.test` now, and return what the receiver answered."""
    return webhooks.send_test(webhook_id, _new_sender(), config.settings())


def _new_sender() -> Sender:
    from shared.webhooks.sender import HttpSender  # noqa: PLC0415 - 20 ms that few routes need

    return HttpSender(allow_private=config.settings().webhooks_allow_private)
