"""The bridge invokes a deployed function with the VM's own IAM token."""

from collections.abc import Iterator

import pytest
import requests

from bridge.function_url import FunctionUrl, InvocationFailed, MetadataToken
from shared.config import SettingsInvalid
from tests.support.yandex import TOKEN_SECONDS, FakeYandex

EVENT = {"messages": [{"details": {"payload": "VGVzdCA0"}}]}


@pytest.fixture
def yandex() -> Iterator[FakeYandex]:
    with FakeYandex() as cloud:
        cloud.functions["d4e-trigger"] = lambda _: None
        yield cloud


@pytest.fixture
def function(yandex: FakeYandex) -> Iterator[FunctionUrl]:
    url = FunctionUrl("d4e-trigger", timeout_seconds=3, token=MetadataToken(yandex.clock))
    yield url
    url.close()


def test_the_function_receives_the_unchanged_event(
    yandex: FakeYandex, function: FunctionUrl
) -> None:
    function(EVENT)

    assert yandex.events == [EVENT]


def test_a_token_is_requested_at_most_once_a_minute(
    yandex: FakeYandex, function: FunctionUrl
) -> None:
    for _ in range(4):
        function(EVENT)
        yandex.advance(29)

    assert yandex.tokens_asked_for == 2


def test_an_expired_token_is_replaced_before_it_is_refused(
    yandex: FakeYandex, function: FunctionUrl
) -> None:
    function(EVENT)
    yandex.advance(TOKEN_SECONDS)

    function(EVENT)

    assert len(yandex.events) == 2


def test_an_invocation_after_a_refused_token_uses_a_new_one(
    yandex: FakeYandex, function: FunctionUrl
) -> None:
    function(EVENT)
    yandex.revoke_tokens()

    with pytest.raises(InvocationFailed, match=r"returned 403.*functions\.functionInvoker"):
        function(EVENT)
    function(EVENT)

    assert len(yandex.events) == 2


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 429, 500, 502, 503, 504])
def test_every_status_but_success_fails_the_invocation(
    yandex: FakeYandex, function: FunctionUrl, status: int
) -> None:
    yandex.fail_next(status)

    with pytest.raises(InvocationFailed, match=f"d4e-trigger.* returned {status}"):
        function(EVENT)


@pytest.mark.parametrize("error", [requests.ConnectionError("reset"), requests.Timeout("slow")])
def test_an_unreachable_function_fails_the_invocation(
    yandex: FakeYandex, function: FunctionUrl, error: Exception
) -> None:
    yandex.fail_next(error)

    with pytest.raises(InvocationFailed, match=f"cannot be reached: {error}"):
        function(EVENT)


def test_an_exception_in_the_function_fails_the_invocation_with_its_message(
    yandex: FakeYandex, function: FunctionUrl
) -> None:
    def fail(_: object) -> None:
        raise ConnectionError("no database")

    yandex.functions["d4e-trigger"] = fail

    with pytest.raises(InvocationFailed, match=r"returned 502: .*no database"):
        function(EVENT)


def test_a_vm_without_a_service_account_is_reported(
    yandex: FakeYandex, function: FunctionUrl
) -> None:
    yandex.has_service_account = False

    with pytest.raises(InvocationFailed, match="a VM that has a service account"):
        function(EVENT)


def test_an_error_does_not_reveal_the_token(yandex: FakeYandex, function: FunctionUrl) -> None:
    yandex.fail_next(500)

    with pytest.raises(InvocationFailed) as failure:
        function(EVENT)

    assert yandex.token() not in str(failure.value)


def test_a_missing_function_id_is_named() -> None:
    with pytest.raises(SettingsInvalid, match="BRIDGE_FUNCTION_ID"):
        FunctionUrl("", timeout_seconds=3)
