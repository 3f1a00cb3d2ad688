"""One attempt to deliver, against receivers that misbehave."""

import socket
import ssl
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from local.rehearsal.certificates import Authority
from shared.webhooks.outcome import Outcome
from shared.webhooks.sender import MAX_BODY_BYTES, HttpSender
from tests.support import receiver as answers
from tests.support.receiver import Answer, Receiver, status
from tests.support.waiting import slowdown


def send(receiver: Receiver, answer: Answer | None = None, *, timeout: float = 10) -> Outcome:
    """Make one attempt on a new connection."""
    receiver.answer = answer or receiver.answer
    sender = HttpSender(allow_private=True, timeout=timeout)
    try:
        return sender.send(receiver.url, b"{}", {"webhook-id": "msg_1"})
    finally:
        sender.close()


def test_a_message_is_posted_with_its_headers(receiver: Receiver) -> None:
    assert send(receiver).is_delivered
    [request] = receiver.received
    assert (request.path, request.body, request.id) == ("/hook", b"{}", "msg_1")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, code: int) -> None:
    with Receiver() as other:
        outcome = send(receiver, status(code, location=other.url))
    assert (outcome.status_code, outcome.is_delivered) == (code, False)
    assert other.received == []


@pytest.mark.parametrize("code", [204, 400, 410, 500])
def test_the_status_is_the_outcome(receiver: Receiver, code: int) -> None:
    outcome = send(receiver, status(code))
    assert (outcome.status_code, outcome.error) == (code, None)


def test_a_receiver_asks_for_a_pause_in_seconds(receiver: Receiver) -> None:
    assert send(receiver, status(429, retry_after="120")).retry_after == 120


def test_a_receiver_asks_for_a_pause_until_a_date(receiver: Receiver) -> None:
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    asked = send(receiver, status(503, retry_after=at)).retry_after
    assert asked
    assert 90 < asked <= 100


_FAR_AWAY = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "", "²", "Wed, 99 Foo 2026", _FAR_AWAY])
def test_a_pause_that_cannot_be_read_is_ignored(receiver: Receiver, text: str) -> None:
    receiver.answer = status(503)
    answer = status(503, retry_after=text.encode().decode("latin-1"))
    assert send(receiver, answer).retry_after is None


@pytest.mark.parametrize(
    ("answer", "error", "timeout"),
    [
        (answers.hang, "timed_out", 0.3),
        (answers.trickle, "timed_out", 0.3),
        (answers.slowly(30, status(200)), "timed_out", 0.3),
        (answers.drop, "connection_lost", 30),
        (answers.babble, "response_invalid", 30),
    ],
    ids=["hang", "trickle", "slow", "drop", "babble"],
)
def test_an_attempt_without_a_response_ends_in_time_with_a_word(
    receiver: Receiver, answer: Answer, error: str, timeout: float
) -> None:
    began = time.monotonic()
    outcome = send(receiver, answer, timeout=timeout)
    assert (outcome.status_code, outcome.error) == (None, error)
    assert time.monotonic() - began < 5 * slowdown()


def test_a_slow_response_within_the_time_is_a_delivery(receiver: Receiver) -> None:
    assert send(receiver, answers.slowly(0.2, status(200))).is_delivered


def test_an_endless_body_is_read_in_part_only(receiver: Receiver) -> None:
    began = time.monotonic()
    assert send(receiver, answers.endless_body).is_delivered
    assert time.monotonic() - began < 5 * slowdown()


def test_a_body_that_does_not_come_ends_in_time_and_the_status_counts(receiver: Receiver) -> None:
    began = time.monotonic()
    assert send(receiver, answers.body_that_hangs, timeout=2).is_delivered
    assert time.monotonic() - began < 5 * slowdown()


def test_nobody_listens() -> None:
    with Receiver() as receiver:
        url = receiver.url
    outcome = HttpSender(allow_private=True).send(url, b"{}", {})
    assert outcome.error == "connection_refused"


def test_a_name_that_is_not_found(receiver: Receiver) -> None:
    sender = HttpSender(allow_private=True)
    assert sender.send("http://nowhere.invalid/", b"{}", {}).error == "name_not_found"


def test_several_messages_share_a_connection(receiver: Receiver) -> None:
    sender = HttpSender(allow_private=True)
    for number in range(3):
        assert sender.send(receiver.url, b"{}", {"webhook-id": f"msg_{number}"}).is_delivered
    sender.close()
    assert receiver.ids == ["msg_0", "msg_1", "msg_2"]
    assert len({request.connection for request in receiver.received}) == 1


def test_a_connection_that_the_receiver_has_closed_is_replaced(receiver: Receiver) -> None:
    def close_after(request: BaseHTTPRequestHandler, it: Receiver) -> None:
        status(200)(request, it)
        request.close_connection = True

    sender = HttpSender(allow_private=True)
    receiver.answer = close_after
    outcomes = [sender.send(receiver.url, b"{}", {"webhook-id": str(n)}) for n in range(3)]
    sender.close()
    assert [outcome.status_code for outcome in outcomes] == [200, 200, 200]
    assert receiver.ids == ["0", "1", "2"]


def test_a_body_that_is_too_long_ends_the_connection(receiver: Receiver) -> None:
    def long_body(request: BaseHTTPRequestHandler, _: Receiver) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(MAX_BODY_BYTES + 1))
        request.end_headers()
        request.wfile.write(b"x" * (MAX_BODY_BYTES + 1))

    receiver.answer = long_body
    sender = HttpSender(allow_private=True)
    for _ in range(2):
        assert sender.send(receiver.url, b"{}", {"webhook-id": "msg_1"}).is_delivered
    sender.close()
    assert len({request.connection for request in receiver.received}) == 2


# --- Addresses --------------------------------------------------------------------------------


def test_a_private_address_gets_no_connection(receiver: Receiver) -> None:
    outcome = HttpSender().send(f"https://127.0.0.1:{receiver.port}/", b"{}", {})
    assert outcome.error == "address_not_public"
    assert receiver.received == []


def test_a_name_that_leads_to_a_private_address_by_now_gets_no_connection(
    receiver: Receiver,
) -> None:
    sender = HttpSender(resolver=lambda *_: ["127.0.0.1"])
    outcome = sender.send(f"https://hooks.example:{receiver.port}/", b"{}", {})
    assert outcome.error == "address_not_public"
    assert receiver.received == []


def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    asked: list[str] = []

    def change_its_mind(host: str, _port: int, _seconds: float) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    sender = HttpSender(allow_private=True, resolver=change_its_mind)
    assert sender.send(f"http://hooks.example:{receiver.port}/", b"{}", {}).is_delivered
    assert asked == ["hooks.example"]
    assert receiver.received[0].headers["host"] == f"hooks.example:{receiver.port}"
    sender.close()


def test_the_second_address_is_used_if_the_first_does_not_answer(receiver: Receiver) -> None:
    sender = HttpSender(allow_private=True, resolver=lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert sender.send(f"http://hooks.example:{receiver.port}/", b"{}", {}).is_delivered
    sender.close()


# --- TLS --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def tls_sender(ca: Path, timeout: float = 10) -> HttpSender:

    tls = ssl.create_default_context(cafile=str(ca))
    resolver = lambda *_: ["127.0.0.1"]  # noqa: E731 - one line
    return HttpSender(allow_private=True, resolver=resolver, tls=tls, timeout=timeout)


def test_the_certificate_must_be_the_names(authority: Authority) -> None:
    with Receiver(tls=authority.tls_context("hooks.example")) as receiver:
        sender = tls_sender(authority.ca)
        for _ in range(2):
            url = f"https://hooks.example:{receiver.port}/"
            assert sender.send(url, b"{}", {"webhook-id": "msg_1"}).is_delivered
        url = f"https://other.example:{receiver.port}/"
        assert sender.send(url, b"{}", {}).error == "certificate_invalid"
        sender.close()
    assert len({request.connection for request in receiver.received}) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    with Receiver(tls=authority.tls_context("hooks.example")) as receiver:
        sender = HttpSender(allow_private=True, resolver=lambda *_: ["127.0.0.1"])
        url = f"https://hooks.example:{receiver.port}/"
        assert sender.send(url, b"{}", {}).error == "certificate_invalid"


def test_a_receiver_without_tls_is_no_https_receiver(receiver: Receiver) -> None:
    sender = HttpSender(allow_private=True)
    url = receiver.url.replace("http:", "https:")
    assert sender.send(url, b"{}", {}).error in {"tls_failed", "connection_lost", "timed_out"}


@pytest.mark.parametrize(
    "answer", [answers.hang, answers.trickle, answers.body_that_hangs], ids=lambda a: a.__name__
)
def test_an_attempt_over_tls_ends_in_time(authority: Authority, answer: Answer) -> None:
    with Receiver(answer, tls=authority.tls_context("hooks.example")) as receiver:
        sender = tls_sender(authority.ca, timeout=0.5)
        began = time.monotonic()
        outcome = sender.send(f"https://hooks.example:{receiver.port}/", b"{}", {"webhook-id": "1"})
        assert str(outcome) in {"timed_out", "status 200"}
        assert time.monotonic() - began < 5 * slowdown()


def test_a_tls_handshake_that_hangs_ends_in_time() -> None:

    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = HttpSender(allow_private=True, timeout=0.3)
        began = time.monotonic()
        outcome = sender.send(f"https://127.0.0.1:{silent.getsockname()[1]}/", b"{}", {})
    assert outcome.error == "timed_out"
    assert time.monotonic() - began < 5 * slowdown()
