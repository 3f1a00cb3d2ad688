"""Signatures that the published library of Standard Webhooks accepts."""

import time
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.config import SettingsInvalid
from shared.webhooks import signing

WEBHOOK = UUID(int=1)
OTHER = UUID(int=2)
BODY = '{"reason":"дверь"}'.encode()


def signed(*secrets: bytes, body: bytes = BODY) -> dict[str, str]:
    return signing.headers(secrets, "msg_1", int(time.time()), body)


def secret(generation: int = 1, webhook_id: UUID = WEBHOOK) -> bytes:
    return signing.secret_of("the master secret", webhook_id, generation)


def test_the_published_library_verifies_a_signature() -> None:
    got = Webhook(signing.shown(secret())).verify(BODY, signed(secret()))
    assert got == {"reason": "дверь"}


def test_while_a_secret_is_rotated_both_verify() -> None:
    headers = signed(secret(2), secret(1))
    for generation in (1, 2):
        assert Webhook(signing.shown(secret(generation))).verify(BODY, headers)


def test_another_body_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.shown(secret())).verify(b"{}", signed(secret()))


def test_each_webhook_and_each_generation_has_its_own_secret_of_32_bytes() -> None:
    secrets = {secret(1), secret(2), secret(1, OTHER)}
    assert {len(found) for found in secrets} == {32}
    assert len(secrets) == 3


def test_an_event_has_the_same_message_id_at_each_attempt_and_another_for_each_webhook() -> None:
    event = UUID(int=3)
    assert signing.message_id(WEBHOOK, event) == signing.message_id(WEBHOOK, event)
    assert signing.message_id(WEBHOOK, event) != signing.message_id(OTHER, event)


def test_without_a_master_secret_the_setting_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="WEBHOOKS_SECRET"):
        signing.secret_of("", WEBHOOK, 1)
