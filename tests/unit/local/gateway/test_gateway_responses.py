"""The local gateway turns a function's result into the same response as the cloud's."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client

from tests.unit.local.gateway.small_gateway import (
    TOO_MANY_BYTES,
    Functions,
    assert_problem,
    fail,
)


def test_status_headers_and_body_are_passed_through(client: Client, functions: Functions) -> None:
    headers = {"Content-Type": "application/json", "Retry-After": "1"}
    functions.result = {"statusCode": 503, "headers": headers, "body": '{"ё":1}'}
    response = client.get("/v1/health")
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Retry-After"] == "1"
    assert response.data == '{"ё":1}'.encode()


def test_a_result_needs_only_a_status(client: Client, functions: Functions) -> None:
    functions.result = {"statusCode": 204}
    response = client.get("/v1/health")
    assert (response.status_code, response.data) == (204, b"")


def test_a_base64_result_is_decoded(client: Client, functions: Functions) -> None:
    body = base64.b64encode(b"\x00\xff").decode()
    functions.result = {"statusCode": 200, "body": body, "isBase64Encoded": True}
    assert client.get("/v1/health").data == b"\x00\xff"


def test_multi_value_headers_take_precedence(client: Client, functions: Functions) -> None:
    functions.result = {
        "statusCode": 200,
        "headers": {"x-a": "lost", "X-B": "kept"},
        "multiValueHeaders": {"X-A": ["1", "2"]},
    }
    headers = client.get("/v1/health").headers
    assert headers.getlist("X-A") == ["1", "2"]
    assert headers.getlist("X-B") == ["kept"]


@pytest.mark.parametrize("name", ["Authorization", "host", "User-Agent", "Cookie"])
def test_some_headers_are_removed_from_the_response(
    client: Client, functions: Functions, name: str
) -> None:
    functions.result = {"statusCode": 200, "headers": {name: "x"}}
    assert name not in client.get("/v1/health").headers


@pytest.mark.parametrize("name", ["Content-Md5", "Date", "Server", "WWW-Authenticate"])
def test_some_headers_are_renamed_in_the_response(
    client: Client, functions: Functions, name: str
) -> None:
    functions.result = {"statusCode": 200, "headers": {name: "x"}}
    headers = client.get("/v1/health").headers
    assert headers[f"X-Yf-Remapped-{name}"] == "x"
    assert name not in headers


def test_a_wrong_content_length_of_a_function_is_corrected(
    client: Client, functions: Functions
) -> None:
    functions.result = {"statusCode": 200, "headers": {"Content-Length": "1"}, "body": "four"}
    assert client.get("/v1/health").headers["Content-Length"] == "4"


@pytest.mark.parametrize(
    "result",
    [
        None,
        "ok",
        {},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "headers": {"Retry-After": 1}},
        {"statusCode": 200, "headers": {"X-A": "split\r\nX-B: 1"}},
        {"statusCode": 200, "multiValueHeaders": {"X-A": "one"}},
        {"statusCode": 200, "headers": {"Transfer-Encoding": "chunked"}},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
    ],
)
def test_a_malformed_result_is_502(client: Client, functions: Functions, result: Any) -> None:
    functions.result = result
    problem = assert_problem(client.get("/v1/health"), 502, "bad_gateway")
    assert problem["errorType"] == "ProxyIntegrationError"


def test_a_result_over_the_limit_is_502(client: Client, functions: Functions) -> None:
    functions.result = {"statusCode": 200, "body": TOO_MANY_BYTES.decode()}
    assert_problem(client.get("/v1/health"), 502, "bad_gateway")


def test_an_unhandled_exception_is_502_with_the_platforms_report(
    client: Client, functions: Functions
) -> None:
    functions.result = fail
    response = client.get("/v1/health")
    problem = assert_problem(response, 502, "bad_gateway")
    assert response.headers["X-Function-Error"] == "true"
    assert problem["errorType"] == "LookupError"
    assert problem["errorMessage"] == "no such cell"
    assert problem["stackTrace"]


def test_a_function_that_takes_too_long_is_504(
    impatient_client: Client, functions: Functions, hang: Callable[[], bool]
) -> None:
    functions.result = hang
    assert_problem(impatient_client.get("/v1/health"), 504, "gateway_timeout")


def test_the_request_id_of_a_function_is_kept(client: Client, functions: Functions) -> None:
    functions.result = {"statusCode": 200, "headers": {"X-Request-Id": "mine"}}
    assert client.get("/v1/health").headers.getlist("X-Request-Id") == ["mine"]
