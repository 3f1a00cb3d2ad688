"""Webhooks: make, list, change, remove, try."""

import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from shared import db, states
from shared.config import Settings
from shared.db import Row, Tx
from shared.errors import InvalidRequest, TooManyWebhooks, WebhookNotFound
from shared.models.webhooks import (
    Webhook,
    WebhookChange,
    WebhookList,
    WebhookRequest,
    WebhookTest,
    WebhookWithSecret,
)
from shared.repo import events, webhooks
from shared.webhooks import cloud_events, signing
from shared.webhooks.addresses import AddressRefused, NameNotFound, checked_addresses, parse
from shared.webhooks.outcome import Sender

MAX_WEBHOOKS = 16
"""Each that is due has a thread of its own, so that none waits for another."""


def check_url(url: str | None, settings: Settings) -> None:
    """Check that a URL may be a webhook's. Raises InvalidRequest. It asks the DNS."""
    if url is None:
        return
    allow_private = settings.webhooks_allow_private
    try:
        checked_addresses(parse(url, allow_private=allow_private), allow_private=allow_private)
    except (AddressRefused, NameNotFound) as error:
        raise InvalidRequest(errors=[{"field": "url", "message": str(error)}]) from None


def create(
    tx: Tx, webhook_id: UUID, request: WebhookRequest, settings: Settings
) -> WebhookWithSecret:
    """Make a webhook; one that has been made with this id already is shown again."""
    webhooks.lock_all(tx)
    if webhooks.get(tx, webhook_id, overlap_hours=signing.OVERLAP_HOURS) is None:
        if webhooks.count(tx) >= MAX_WEBHOOKS:
            raise TooManyWebhooks(limit=MAX_WEBHOOKS)
        events.sequence(tx)  # so that it does not get what was before
        webhooks.insert(tx, {"webhook_id": webhook_id, **request.model_dump()})
    return _with_secret(_get(tx, webhook_id), settings)


def listing(tx: Tx) -> WebhookList:
    """Return all webhooks."""
    rows = webhooks.describe(tx, overlap_hours=signing.OVERLAP_HOURS)
    return WebhookList(webhooks=[Webhook.model_validate(row) for row in rows])


def change(
    tx: Tx, webhook_id: UUID, request: WebhookChange, settings: Settings
) -> WebhookWithSecret:
    """Change the fields that the request names."""
    before = webhooks.lock(tx, webhook_id)
    if before is None:
        raise WebhookNotFound
    webhooks.update(tx, webhook_id, request.model_dump(exclude_unset=True))
    if request.status is not None:
        states.WEBHOOK.changed_to(before["status"], request.status)
        if request.status == "paused":
            webhooks.move(tx, webhook_id, "paused_by_operator", "paused by an operator")
        else:
            webhooks.move(tx, webhook_id, "resumed", None)
    if request.url is not None or request.status == "active":
        webhooks.start_again(tx, webhook_id)
    if request.rotate_secret:
        webhooks.rotate(tx, webhook_id)
        return _with_secret(_get(tx, webhook_id), settings)
    return WebhookWithSecret.model_validate({**_get(tx, webhook_id), "secret": None})


def remove(tx: Tx, webhook_id: UUID) -> None:
    """Remove a webhook. What is being sent at this moment still arrives."""
    if not webhooks.delete(tx, webhook_id):
        raise WebhookNotFound


def send_test(webhook_id: UUID, sender: Sender, settings: Settings) -> WebhookTest:
    """Send one event of type `webhook.test`, also if the webhook is paused; nothing is stored."""
    with db.statements() as tx:
        row = _get(tx, webhook_id)
    event = notice("webhook.test", webhook_id, uuid4(), {"webhook_id": str(webhook_id)})
    is_rotating = row["previous_secret_until"] is not None
    secrets = secrets_of(row, settings, is_rotating=is_rotating)
    body = cloud_events.body(event)
    message_id = signing.message_id(webhook_id, UUID(event["event_id"]))
    headers = signing.headers(secrets, message_id, int(time.time()), body)
    outcome = sender.send(row["url"], body, headers | {"Content-Type": cloud_events.CONTENT_TYPE})
    sender.close()
    return WebhookTest(
        delivered=outcome.is_delivered,
        status_code=outcome.status_code,
        error=outcome.error,
        duration_ms=outcome.duration_ms,
    )


def notice(kind: str, webhook_id: UUID, event_id: UUID, resource: Row) -> dict[str, Any]:
    """Return an event that only this webhook's receiver gets, in the form of the feed's."""
    return {
        "event_id": str(event_id),
        "type": kind,
        "subject": str(webhook_id),
        "cabinet_id": None,
        "at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "caused_by": "service",
        "requested_by": None,
        "resource": resource,
    }


def secrets_of(row: Row, settings: Settings, *, is_rotating: bool) -> list[bytes]:
    """Return a webhook's valid secrets, the newest first."""
    newest = row["secret_generation"]
    generations = [newest, newest - 1] if is_rotating else [newest]
    master = settings.webhooks_secret
    return [signing.secret_of(master, row["webhook_id"], number) for number in generations]


def _get(tx: Tx, webhook_id: UUID) -> Row:
    row = webhooks.get(tx, webhook_id, overlap_hours=signing.OVERLAP_HOURS)
    if row is None:
        raise WebhookNotFound
    return row


def _with_secret(row: Row, settings: Settings) -> WebhookWithSecret:
    [secret] = secrets_of(row, settings, is_rotating=False)
    return WebhookWithSecret.model_validate({**row, "secret": signing.shown(secret)})
