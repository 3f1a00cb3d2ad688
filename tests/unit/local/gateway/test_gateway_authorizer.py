"""The local gateway invokes the authorizer and obeys it, as the cloud's does."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client

from tests.unit.local.gateway.small_gateway import Functions, assert_problem, fail


def test_the_authorizer_receives_the_documented_event(client: Client, functions: Functions) -> None:
    client.set_cookie("c", "d")
    client.get("/v1/secret?a=1", headers={"Authorization": "Bearer k", "Connection": "close"})
    event = functions.authorizer_event
    assert set(event) == {
        "resource",
        "path",
        "httpMethod",
        "headers",
        "queryStringParameters",
        "pathParameters",
        "requestContext",
        "cookies",
    }
    assert (event["resource"], event["httpMethod"]) == ("/v1/secret", "GET")
    assert event["headers"]["Authorization"] == "Bearer k"
    assert "Connection" not in event["headers"]
    assert event["queryStringParameters"] == {"a": "1"}
    assert event["cookies"] == {"c": "d"}


def test_the_authorizers_context_reaches_the_function(client: Client, functions: Functions) -> None:
    client.get("/v1/secret", headers={"Authorization": "Bearer k"})
    assert functions.event["requestContext"]["authorizer"] == {"name": "ops"}
    request_ids = {
        event["requestContext"]["requestId"]
        for event in (functions.event, functions.authorizer_event)
    }
    assert len(request_ids) == 1


def test_an_operation_without_security_needs_no_key(client: Client, functions: Functions) -> None:
    assert client.get("/v1/health").status_code == 200
    assert functions.authorizer_event == {}


def test_a_request_without_credentials_is_401_and_invokes_no_function(
    client: Client, functions: Functions
) -> None:
    assert_problem(client.get("/v1/secret"), 401, "unauthenticated")
    assert functions.authorizer_event == functions.event == {}


def test_a_request_refused_by_the_authorizer_is_403(client: Client, functions: Functions) -> None:
    functions.verdict = {"isAuthorized": False}
    response = client.get("/v1/secret", headers={"Authorization": "Bearer k"})
    assert_problem(response, 403, "forbidden")
    assert functions.event == {}


@pytest.mark.parametrize(
    "verdict",
    [fail, None, {}, {"isAuthorized": "yes"}, {"isAuthorized": True, "context": "ops"}],
)
def test_an_authorizer_that_fails_is_500(
    client: Client, functions: Functions, verdict: Any
) -> None:
    functions.verdict = verdict
    response = client.get("/v1/secret", headers={"Authorization": "Bearer k"})
    assert_problem(response, 500, "internal")
    assert functions.event == {}


def test_an_authorizer_that_takes_too_long_is_500(
    impatient_client: Client, functions: Functions, hang: Callable[[], bool]
) -> None:
    functions.verdict = hang
    response = impatient_client.get("/v1/secret", headers={"Authorization": "Bearer k"})
    assert_problem(response, 500, "internal")
