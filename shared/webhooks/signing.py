"""Secrets and signatures of webhooks, as Standard Webhooks says (standardwebhooks.com).

The database stores no secret: each is derived from the setting WEBHOOKS_SECRET, the webhook's id,
which is never used again, and the number of its rotations.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID, uuid5

from shared.config import SettingsInvalid

OVERLAP_HOURS = 24
"""How long the secret before a rotation stays valid."""


def secret_of(master: str, webhook_id: UUID, generation: int) -> bytes:
    """Return a webhook's secret of 32 bytes. Raises SettingsInvalid if there is no master."""
    if not master:
        raise SettingsInvalid("WEBHOOKS_SECRET is not set: run make secrets and deploy again")
    text = f"scooter-accumulator webhook {webhook_id} {generation}"
    return hmac.digest(master.encode(), text.encode(), "sha256")


def shown(secret: bytes) -> str:
    """Return a secret in the form that receivers' libraries take."""
    return "whsec_" + base64.b64encode(secret).decode()


def message_id(webhook_id: UUID, event_id: UUID) -> str:
    """Return the id of an event's message to a webhook, the same at each attempt."""
    return f"msg_{uuid5(webhook_id, str(event_id)).hex}"


def headers(secrets: Sequence[bytes], message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign a message with each of the secrets.

    `timestamp`: of this attempt, in seconds since 1970; receivers refuse old ones.
    """
    content = f"{message}.{timestamp}.".encode() + body
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(secret, content) for secret in secrets),
    }


def _signature(secret: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
