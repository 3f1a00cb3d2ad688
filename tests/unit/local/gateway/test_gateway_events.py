"""The local gateway sends functions the same events as the cloud's."""

import base64
import re
import time

import pytest
from werkzeug.test import Client

from tests.unit.local.gateway.small_gateway import CELL, Functions


def test_the_event_has_exactly_the_fields_of_payload_format_1_0(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/health")
    assert set(functions.event) == {
        "version",
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "requestContext",
        "pathParameters",
        "body",
        "isBase64Encoded",
        "parameters",
        "multiValueParameters",
        "operationId",
    }
    assert functions.event["version"] == "1.0"


def test_the_resource_is_the_path_template_and_the_path_is_the_requested_one(
    client: Client, functions: Functions
) -> None:
    client.patch("/v1/cabinets/C-001/cells/3")
    assert functions.event["resource"] == CELL
    assert functions.event["path"] == "/v1/cabinets/C-001/cells/3"
    assert functions.event["httpMethod"] == "PATCH"
    assert functions.event["operationId"] == "patch_cell"


def test_path_parameters_are_decoded_strings(client: Client, functions: Functions) -> None:
    client.patch("/v1/cabinets/C%3A1/cells/3")
    assert functions.event["pathParameters"] == {"cabinet_id": "C:1", "cell_number": "3"}


def test_a_repeated_query_parameter_has_its_last_value_and_a_list_of_all(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/health?near=1%2C2&near=3&empty=")
    assert functions.event["queryStringParameters"] == {"near": "3", "empty": ""}
    assert functions.event["multiValueQueryStringParameters"] == {
        "near": ["1,2", "3"],
        "empty": [""],
    }


def test_only_declared_parameters_are_in_the_parameters(
    client: Client, functions: Functions
) -> None:
    client.patch(
        "/v1/cabinets/C-1/cells/3?tag=a&tag=b&undeclared=1", headers={"Idempotency-Key": "k"}
    )
    assert functions.event["parameters"] == {
        "cabinet_id": "C-1",
        "cell_number": "3",
        "tag": "b",
        "Idempotency-Key": "k",
    }
    assert functions.event["multiValueParameters"]["tag"] == ["a", "b"]


def test_header_names_are_canonical(client: Client, functions: Functions) -> None:
    client.get("/v1/health", headers={"idempotency-KEY": "k"})
    assert functions.event["headers"]["Idempotency-Key"] == "k"
    assert functions.event["multiValueHeaders"]["Idempotency-Key"] == ["k"]


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Connection",
        "Content-Md5",
        "Expect",
        "Keep-Alive",
        "Max-Forwards",
        "Proxy-Authenticate",
        "Server",
        "Te",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Www-Authenticate",
    ],
)
def test_some_request_headers_are_withheld_from_functions(
    client: Client, functions: Functions, name: str
) -> None:
    client.get("/v1/health", headers={name: "x"})
    assert name not in functions.event["headers"]
    assert name not in functions.event["multiValueHeaders"]


def test_cookies_are_withheld_from_functions(client: Client, functions: Functions) -> None:
    client.set_cookie("c", "d")
    client.get("/v1/health")
    assert "Cookie" not in functions.event["headers"]


def test_the_request_context_has_the_documented_fields(
    client: Client, functions: Functions
) -> None:
    response = client.get("/v1/health", headers={"User-Agent": "curl/8"})
    context = functions.event["requestContext"]
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "curl/8"}
    assert context["httpMethod"] == "GET"
    assert context["requestId"] == response.headers["X-Request-Id"]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["requestTime"])
    assert abs(context["requestTimeEpoch"] - time.time()) < 60
    assert context["authorizer"] == {}
    assert context["apiGateway"] == {"operationContext": {"from": "the document"}}


def test_the_client_address_is_appended_to_x_forwarded_for(
    client: Client, functions: Functions
) -> None:
    response = client.get("/v1/health", headers={"X-Forwarded-For": "10.0.0.1"})
    headers = functions.event["headers"]
    assert headers["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"
    assert headers["X-Request-Id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_a_json_body_is_passed_as_text(
    client: Client, functions: Functions, content_type: str
) -> None:
    client.post("/v1/health", data='{"a": "ё"}'.encode(), content_type=content_type)
    assert functions.event["body"] == '{"a": "ё"}'
    assert functions.event["isBase64Encoded"] is False


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_any_other_body_is_passed_as_base64(
    client: Client, functions: Functions, content_type: str | None
) -> None:
    client.post("/v1/health", data=b"a=\xff", content_type=content_type)
    assert base64.b64decode(functions.event["body"]) == b"a=\xff"
    assert functions.event["isBase64Encoded"] is True


def test_a_missing_body_is_an_empty_string(client: Client, functions: Functions) -> None:
    client.post("/v1/health")
    assert functions.event["body"] == ""
    assert functions.event["isBase64Encoded"] is False
