"""The local gateway makes the events, and the answers, that the cloud's gateway makes."""

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse, create_environ

from local import CannotStart
from local.functions import FunctionPool
from local.gateway import Exchange, Gateway

INTEGRATION = {
    "type": "cloud_functions",
    "function_id": "${function_ids.cabinets}",
    "payload_format_version": "1.0",
    "context": {"from": "the document"},
}
CELL = "/v1/cabinets/{cabinet_id}/cells/{cell_number}"
TOO_MANY_BYTES = b" " * (2_621_440 + 1)


def operation(name: str, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "x-yc-apigateway-integration": INTEGRATION, **more}


def document() -> dict[str, Any]:
    key: list[dict[str, list[str]]] = [{"api_key": []}]
    cabinet_id = {"in": "path", "name": "cabinet_id"}
    return {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://example.com"}],
        "paths": {
            "/v1/health": {"get": operation("health"), "post": operation("post_health")},
            "/v1/secret": {"get": operation("secret", security=key)},
            CELL: {
                "parameters": [{"$ref": "#/components/parameters/cabinet_id"}],
                "patch": operation(
                    "patch_cell",
                    parameters=[
                        {"in": "path", "name": "cell_number"},
                        {"in": "query", "name": "tag"},
                        {"in": "query", "name": "absent"},
                        {"in": "header", "name": "Idempotency-Key"},
                    ],
                ),
            },
            "/v1/cabinets/{cabinet_id}": {"get": operation("get_cabinet")},
            "/v1/cabinets/all": {"get": operation("get_all")},
            "/v1/files/{file+}": {"get": operation("get_file")},
        },
        "components": {
            "parameters": {"cabinet_id": cabinet_id},
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "x-yc-apigateway-authorizer": {
                        "type": "function",
                        "function_id": "${function_ids.authorizer}",
                    },
                }
            },
        },
    }


class Functions:
    """Two functions that answer what they are told to, and remember what they were asked."""

    def __init__(self) -> None:
        self.answer: Any = {"statusCode": 200, "body": "ok"}
        self.verdict: Any = {"isAuthorized": True, "context": {"name": "ops"}}
        self.event: dict[str, Any] = {}
        self.authorizer_event: dict[str, Any] = {}

    def cabinets(self, event: Any, _: Any) -> Any:
        self.event = event
        return self.answer() if callable(self.answer) else self.answer

    def authorizer(self, event: Any, _: Any) -> Any:
        self.authorizer_event = event
        return self.verdict() if callable(self.verdict) else self.verdict


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def exchanges() -> list[Exchange]:
    return []


@pytest.fixture
def pool(functions: Functions) -> Iterator[FunctionPool]:
    pool = FunctionPool({"cabinets": functions.cabinets, "authorizer": functions.authorizer})
    yield pool
    pool.close()


@pytest.fixture
def client(pool: FunctionPool, exchanges: list[Exchange]) -> Client:
    return Client(Gateway(document(), pool, port=0, observers=[exchanges.append]).app)


@pytest.fixture
def impatient_client(pool: FunctionPool) -> Client:
    return Client(Gateway(document(), pool, port=0, execution_timeout=0.05).app)


@pytest.fixture
def hang() -> Iterator[Callable[[], bool]]:
    release = threading.Event()
    yield lambda: release.wait(30)
    release.set()


def fail() -> None:
    raise LookupError("no such cell")


def assert_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json or {}
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    assert problem["type"] == f"urn:scooter-accumulator:{code}"
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-Id"]
    return problem


# --- The event ------------------------------------------------------------------------------------


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


def test_resource_is_the_template_and_path_the_real_one(
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


def test_the_last_of_a_repeated_query_parameter_counts_and_all_are_told(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/health?near=1%2C2&near=3&empty=")
    assert functions.event["queryStringParameters"] == {"near": "3", "empty": ""}
    assert functions.event["multiValueQueryStringParameters"] == {
        "near": ["1,2", "3"],
        "empty": [""],
    }


def test_only_declared_parameters_are_among_the_parameters(
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
def test_a_function_never_sees_the_header(client: Client, functions: Functions, name: str) -> None:
    client.get("/v1/health", headers={name: "x"})
    assert name not in functions.event["headers"]
    assert name not in functions.event["multiValueHeaders"]


def test_a_function_never_sees_a_cookie(client: Client, functions: Functions) -> None:
    client.set_cookie("c", "d")
    client.get("/v1/health")
    assert "Cookie" not in functions.event["headers"]


def test_the_request_context_is_the_documented_one(client: Client, functions: Functions) -> None:
    response = client.get("/v1/health", headers={"User-Agent": "curl/8"})
    context = functions.event["requestContext"]
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "curl/8"}
    assert context["httpMethod"] == "GET"
    assert context["requestId"] == response.headers["X-Request-Id"]
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context["requestTime"])
    assert abs(context["requestTimeEpoch"] - time.time()) < 60
    assert context["authorizer"] == {}
    assert context["apiGateway"] == {"operationContext": {"from": "the document"}}


def test_the_function_learns_who_asked_through_which_addresses(
    client: Client, functions: Functions
) -> None:
    response = client.get("/v1/health", headers={"X-Forwarded-For": "10.0.0.1"})
    headers = functions.event["headers"]
    assert headers["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"
    assert headers["X-Request-Id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_a_json_body_is_left_as_it_is(
    client: Client, functions: Functions, content_type: str
) -> None:
    client.post("/v1/health", data='{"a": "ё"}'.encode(), content_type=content_type)
    assert functions.event["body"] == '{"a": "ё"}'
    assert functions.event["isBase64Encoded"] is False


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_any_other_body_comes_as_base64(
    client: Client, functions: Functions, content_type: str | None
) -> None:
    client.post("/v1/health", data=b"a=\xff", content_type=content_type)
    assert base64.b64decode(functions.event["body"]) == b"a=\xff"
    assert functions.event["isBase64Encoded"] is True


def test_no_body_is_an_empty_string(client: Client, functions: Functions) -> None:
    client.post("/v1/health")
    assert functions.event["body"] == ""
    assert functions.event["isBase64Encoded"] is False


# --- The authorizer -------------------------------------------------------------------------------


def test_the_authorizer_gets_its_documented_event(client: Client, functions: Functions) -> None:
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


def test_without_credentials_it_is_401_and_nobody_is_asked(
    client: Client, functions: Functions
) -> None:
    assert_problem(client.get("/v1/secret"), 401, "unauthenticated")
    assert functions.authorizer_event == functions.event == {}


def test_whom_the_authorizer_refuses_gets_403(client: Client, functions: Functions) -> None:
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


# --- The answer -----------------------------------------------------------------------------------


def test_status_headers_and_body_are_passed_on(client: Client, functions: Functions) -> None:
    headers = {"Content-Type": "application/json", "Retry-After": "1"}
    functions.answer = {"statusCode": 503, "headers": headers, "body": '{"ё":1}'}
    response = client.get("/v1/health")
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Retry-After"] == "1"
    assert response.data == '{"ё":1}'.encode()


def test_an_answer_needs_only_a_status(client: Client, functions: Functions) -> None:
    functions.answer = {"statusCode": 204}
    response = client.get("/v1/health")
    assert (response.status_code, response.data) == (204, b"")


def test_a_base64_answer_is_decoded(client: Client, functions: Functions) -> None:
    body = base64.b64encode(b"\x00\xff").decode()
    functions.answer = {"statusCode": 200, "body": body, "isBase64Encoded": True}
    assert client.get("/v1/health").data == b"\x00\xff"


def test_multi_value_headers_win(client: Client, functions: Functions) -> None:
    functions.answer = {
        "statusCode": 200,
        "headers": {"x-a": "lost", "X-B": "kept"},
        "multiValueHeaders": {"X-A": ["1", "2"]},
    }
    headers = client.get("/v1/health").headers
    assert headers.getlist("X-A") == ["1", "2"]
    assert headers.getlist("X-B") == ["kept"]


@pytest.mark.parametrize("name", ["Authorization", "host", "User-Agent", "Cookie"])
def test_some_headers_are_removed_from_the_answer(
    client: Client, functions: Functions, name: str
) -> None:
    functions.answer = {"statusCode": 200, "headers": {name: "x"}}
    assert name not in client.get("/v1/health").headers


@pytest.mark.parametrize("name", ["Content-Md5", "Date", "Server", "WWW-Authenticate"])
def test_some_headers_are_renamed_in_the_answer(
    client: Client, functions: Functions, name: str
) -> None:
    functions.answer = {"statusCode": 200, "headers": {name: "x"}}
    headers = client.get("/v1/health").headers
    assert headers[f"X-Yf-Remapped-{name}"] == "x"
    assert name not in headers


def test_a_wrong_content_length_of_a_function_does_no_harm(
    client: Client, functions: Functions
) -> None:
    functions.answer = {"statusCode": 200, "headers": {"Content-Length": "1"}, "body": "four"}
    assert client.get("/v1/health").headers["Content-Length"] == "4"


@pytest.mark.parametrize(
    "answer",
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
def test_a_malformed_answer_is_502(client: Client, functions: Functions, answer: Any) -> None:
    functions.answer = answer
    problem = assert_problem(client.get("/v1/health"), 502, "bad_gateway")
    assert problem["errorType"] == "ProxyIntegrationError"


def test_an_answer_over_the_limit_is_502(client: Client, functions: Functions) -> None:
    functions.answer = {"statusCode": 200, "body": TOO_MANY_BYTES.decode()}
    assert_problem(client.get("/v1/health"), 502, "bad_gateway")


def test_an_unhandled_exception_is_502_with_the_platforms_report(
    client: Client, functions: Functions
) -> None:
    functions.answer = fail
    response = client.get("/v1/health")
    problem = assert_problem(response, 502, "bad_gateway")
    assert response.headers["X-Function-Error"] == "true"
    assert problem["errorType"] == "LookupError"
    assert problem["errorMessage"] == "no such cell"
    assert problem["stackTrace"]


def test_a_function_that_takes_too_long_is_504(
    impatient_client: Client, functions: Functions, hang: Callable[[], bool]
) -> None:
    functions.answer = hang
    assert_problem(impatient_client.get("/v1/health"), 504, "gateway_timeout")


def test_a_request_id_of_the_function_is_kept(client: Client, functions: Functions) -> None:
    functions.answer = {"statusCode": 200, "headers": {"X-Request-Id": "mine"}}
    assert client.get("/v1/health").headers.getlist("X-Request-Id") == ["mine"]


# --- Routes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/cabinets//cells/1", "/v1/cabinets/a%2Fb", "/v1/healthy", "/docs/x"]
)
def test_an_unknown_path_is_404(client: Client, path: str) -> None:
    assert_problem(client.get(path), 404, "route_not_found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_a_method_that_the_document_lacks_is_404(client: Client, method: str) -> None:
    assert_problem(client.open("/v1/health", method=method), 404, "route_not_found")


def test_head_is_not_taken_for_get(client: Client, functions: Functions) -> None:
    assert client.head("/v1/health").status_code == 404
    assert functions.event == {}


def test_a_trailing_slash_is_ignored(client: Client, functions: Functions) -> None:
    assert client.get("/v1/health/").status_code == 200
    assert functions.event["path"] == "/v1/health/"


def test_a_literal_path_is_preferred_to_a_parameter(client: Client, functions: Functions) -> None:
    client.get("/v1/cabinets/all")
    assert functions.event["operationId"] == "get_all"


def test_a_greedy_parameter_takes_the_rest_of_the_path(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/files/a/b.txt")
    assert functions.event["pathParameters"] == {"file": "a/b.txt"}


def test_a_body_over_the_limit_is_413(client: Client, functions: Functions) -> None:
    response = client.post("/v1/health", data=TOO_MANY_BYTES, content_type="application/json")
    assert_problem(response, 413, "request_too_large")
    assert functions.event == {}


def test_a_body_at_the_limit_is_passed_on(client: Client, functions: Functions) -> None:
    body = TOO_MANY_BYTES[1:]
    assert client.post("/v1/health", data=body, content_type="application/json").status_code == 200
    assert len(functions.event["body"]) == len(body)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "dummy"},
        {"payload_format_version": "0.1"},
        {"function_id": "d4e123"},
    ],
)
def test_a_document_that_cannot_be_served_is_refused(change: dict[str, str]) -> None:
    wrong = document()
    wrong["paths"]["/v1/health"]["get"]["x-yc-apigateway-integration"] = INTEGRATION | change
    with pytest.raises(CannotStart, match="GET /v1/health"):
        Gateway(wrong, FunctionPool({}), port=0)


# --- Observers ------------------------------------------------------------------------------------


def test_an_observer_sees_the_exchange(client: Client, exchanges: list[Exchange]) -> None:
    response = client.patch("/v1/cabinets/C-1/cells/3", json={"health": "ok"})
    [exchange] = exchanges
    assert (exchange.method, exchange.path) == ("PATCH", "/v1/cabinets/C-1/cells/3")
    assert (exchange.resource, exchange.function) == (CELL, "cabinets")
    assert (exchange.status, exchange.response_body) == (200, b"ok")
    assert exchange.request_body == b'{"health": "ok"}'
    assert exchange.request_id == response.headers["X-Request-Id"]
    assert 0 < exchange.duration_ms < 5000


def test_an_observer_sees_a_refusal_too(client: Client, exchanges: list[Exchange]) -> None:
    client.get("/v1/nowhere")
    [exchange] = exchanges
    assert (exchange.status, exchange.resource, exchange.function) == (404, None, None)


def test_an_observer_is_called_before_the_client_has_its_answer(pool: FunctionPool) -> None:
    order: list[str] = []
    gateway = Gateway(document(), pool, port=0, observers=[lambda _: order.append("observed")])

    def start_response(*_: Any) -> Callable[[bytes], object]:
        order.append("answered")
        return lambda _: None

    gateway.app(create_environ("/v1/health"), start_response)
    assert order == ["observed", "answered"]


def test_an_observer_that_fails_is_500(pool: FunctionPool) -> None:
    def observe(exchange: Exchange) -> None:
        raise LookupError

    gateway = Gateway(document(), pool, port=0, observers=[observe])
    assert_problem(Client(gateway.app).get("/v1/health"), 500, "internal")


# --- The documentation ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_documentation_loads_nothing_from_elsewhere(client: Client, path: str) -> None:
    response = client.get(path)
    loaded = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', response.text)
    assert response.mimetype == "text/html"
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("/docs/")
        assert client.get(address).status_code == 200


def test_the_documented_api_is_served_from_here_and_has_no_extensions_of_the_cloud(
    client: Client,
) -> None:
    response = client.get("/docs/openapi.json")
    assert response.mimetype == "application/json"
    assert "x-yc-" not in response.text
    documented = response.json or {}
    assert documented["servers"] == [{"url": "/"}]
    assert set(documented["paths"]) == set(document()["paths"])
    assert documented["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"


def test_the_documentation_is_no_exchange(client: Client, exchanges: list[Exchange]) -> None:
    client.get("/docs")
    assert exchanges == []
