"""The routes of webhooks."""

import base64
from typing import Any
from uuid import uuid4

import pytest

from shared import config
from shared.services.webhooks import MAX_WEBHOOKS
from tests.integration.webhooks.delivering import deliver, make_events, state, subscribe
from tests.support import receiver as answers
from tests.support.receiver import Receiver, status
from tests.support.service import Response, Service


def request(service: Service, body: Any, **headers: str) -> Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return service.call("POST", "/v1/webhooks", body, key="operator", headers=sent)


def error_of(response: Response) -> str:
    assert response.status == 400, response
    [error] = response.body["errors"]
    return f"{error['field']}: {error['message']}"


def test_a_new_webhook_shows_its_secret_once(service: Service, receiver: Receiver) -> None:
    made = subscribe(service, receiver, types=["anomaly.raised"], cabinet_ids=["C-1"])
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    shown = state(service)
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert (shown["status"], shown["types"]) == ("active", ["anomaly.raised"])


@pytest.mark.parametrize("key", ["read", "backend"])
def test_webhooks_are_for_operators(service: Service, key: str) -> None:
    assert service.call("GET", "/v1/webhooks", key=key).status == 403


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"url": "https://[::1/"}, "url: must be a URL: Invalid IPv6 URL"),
        ({"url": "ftp://hooks.example/"}, "url: must begin with https:// or http://"),
        ({"url": "https://nowhere.invalid/"}, "url: nowhere.invalid has no address"),
        ({"url": "https://127.0.0.1/", "types": []}, "types: List should have at least 1 item"),
        (
            {"url": "https://127.0.0.1/", "types": ["booking.moved"]},
            "no such type: 'booking.moved'",
        ),
        ({"url": "https://127.0.0.1/", "cabinet_ids": ["C-1", "C-1"]}, "must not name one twice"),
        ({"url": "https://127.0.0.1/", "cabinet_ids": ["a b"]}, "cabinet_ids.0: String should"),
    ],
)
def test_a_bad_webhook_is_refused_with_the_reason(service: Service, body: Any, error: str) -> None:
    assert error in error_of(request(service, body))


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://example.com/", "url: must begin with https://"),
        ("https://127.0.0.1/", "url: must have a public address: 127.0.0.1 is loopback"),
        ("https://localhost/", "to which localhost resolves, is loopback"),
        ("https://169.254.169.254/", "link-local, where clouds serve metadata"),
        ("https://[::ffff:10.0.0.1]/", "is a private network"),
    ],
)
def test_an_address_that_is_not_public_is_refused_by_default(
    service: Service, monkeypatch: pytest.MonkeyPatch, url: str, error: str
) -> None:
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "")
    config.settings.cache_clear()
    assert error in error_of(request(service, {"url": url}))


def test_there_are_sixteen_webhooks_at_most(service: Service, receiver: Receiver) -> None:
    for _ in range(MAX_WEBHOOKS):
        subscribe(service, receiver)
    response = request(service, {"url": receiver.url})
    assert (response.status, response.body["code"]) == (409, "too_many_webhooks")
    assert response.body["limit"] == MAX_WEBHOOKS


def test_a_repeated_request_gets_the_same_webhook_and_no_secret_is_stored(
    service: Service, receiver: Receiver
) -> None:
    body = {"url": receiver.url}
    first, second = (request(service, body, Idempotency_Key="k") for _ in range(2))
    assert (first.status, first.body) == (201, second.body)
    assert state(service)["webhook_id"] == first.body["webhook_id"]
    [row] = service.sql("SELECT status, body FROM idempotency_keys")
    assert row == {"status": None, "body": None}


def test_the_same_key_with_another_webhook_is_refused(service: Service, receiver: Receiver) -> None:
    request(service, {"url": receiver.url}, Idempotency_Key="k")
    response = request(service, {"url": receiver.url + "2"}, Idempotency_Key="k")
    assert (response.status, response.body["code"]) == (422, "idempotency_key_reused")


def test_fields_are_changed_and_null_means_all(service: Service, receiver: Receiver) -> None:
    made = subscribe(service, receiver, types=["anomaly.raised"], cabinet_ids=["C-1"])
    path = f"/v1/webhooks/{made['webhook_id']}"
    changed = service.patch(path, {"types": None, "url": receiver.url + "/2"})
    assert (changed["types"], changed["cabinet_ids"]) == (None, ["C-1"])
    assert (changed["url"], changed["secret"]) == (receiver.url + "/2", None)


def test_a_change_of_nothing_is_refused(service: Service, receiver: Receiver) -> None:
    path = f"/v1/webhooks/{subscribe(service, receiver)['webhook_id']}"
    assert service.call("PATCH", path, {}, key="operator").status == 400


def test_a_removed_webhook_is_gone(service: Service, receiver: Receiver) -> None:
    path = f"/v1/webhooks/{subscribe(service, receiver)['webhook_id']}"
    service.delete(path)
    assert service.call("DELETE", path, key="operator").body["code"] == "webhook_not_found"
    make_events(service, "A-1")
    assert deliver().delivered == 0


@pytest.mark.parametrize(("method", "suffix"), [("PATCH", ""), ("DELETE", ""), ("POST", "/test")])
def test_an_unknown_webhook_is_404(service: Service, method: str, suffix: str) -> None:
    body = {"status": "paused"} if method == "PATCH" else None
    for name in (uuid4(), "no-uuid"):
        response = service.call(method, f"/v1/webhooks/{name}{suffix}", body, key="operator")
        assert (response.status, response.body["code"]) == (404, "webhook_not_found")


# --- Rotation ---------------------------------------------------------------------------------


def test_while_a_secret_is_rotated_both_verify_for_a_day(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver)
    changed = service.patch(f"/v1/webhooks/{made['webhook_id']}", {"rotate_secret": True})
    assert changed["secret"] != made["secret"]
    assert changed["previous_secret_until"] is not None
    make_events(service, "A-1")
    deliver()
    for secret in (made["secret"], changed["secret"]):
        assert receiver.received[0].verified(secret)
    service.advance_time(24 * 3600)
    make_events(service, "A-2")
    deliver()
    last = receiver.received[-1]
    assert last.verified(changed["secret"])
    assert len(last.headers["webhook-signature"].split()) == 1
    assert state(service)["previous_secret_until"] is None


# --- Test -------------------------------------------------------------------------------------


def test_a_test_sends_one_event_and_returns_the_answer(
    service: Service, receiver: Receiver
) -> None:
    made = subscribe(service, receiver)
    make_events(service, "A-1")
    result = service.post(f"/v1/webhooks/{made['webhook_id']}/test")
    assert (result["delivered"], result["status_code"], result["error"]) == (True, 200, None)
    [got] = receiver.received
    event = got.verified(made["secret"])
    assert (event["type"], event["subject"]) == ("webhook.test", made["webhook_id"])
    assert state(service)["last_attempt_at"] is None


def test_a_failed_test_says_what_the_receiver_answered(
    service: Service, receiver: Receiver
) -> None:
    path = f"/v1/webhooks/{subscribe(service, receiver)['webhook_id']}/test"
    receiver.answer = status(301, location="https://elsewhere.example/")
    assert service.post(path)["status_code"] == 301
    receiver.answer = answers.drop
    result = service.post(path)
    assert (result["delivered"], result["status_code"]) == (False, None)
    assert result["error"] == "connection_lost"


def test_a_paused_webhook_can_be_tested(service: Service, receiver: Receiver) -> None:
    path = f"/v1/webhooks/{subscribe(service, receiver)['webhook_id']}"
    service.patch(path, {"status": "paused"})
    assert service.post(f"{path}/test")["delivered"]
