"""Routes of the local gateway, its observers, and the documentation that it serves."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client, create_environ

from local import CannotStart
from local.docs_page import DocsPage
from local.functions import FunctionPool
from local.gateway import Exchange, Gateway, Routes
from tests.unit.local.gateway.small_gateway import (
    CELL,
    INTEGRATION,
    TOO_MANY_BYTES,
    Functions,
    assert_problem,
    document,
)


@pytest.fixture
def exchanges() -> list[Exchange]:
    return []


@pytest.fixture
def client(pool: FunctionPool, exchanges: list[Exchange]) -> Client:
    routes = Routes(document())
    pages = [DocsPage(routes.document)]
    return Client(Gateway(routes, pool, port=0, pages=pages, observers=[exchanges.append]).app)


# --- Routes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/cabinets//cells/1", "/v1/cabinets/a%2Fb", "/v1/healthy", "/docs/x"]
)
def test_an_unknown_path_is_404(client: Client, path: str) -> None:
    assert_problem(client.get(path), 404, "route_not_found")


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS"])
def test_a_method_that_the_path_does_not_describe_is_404(client: Client, method: str) -> None:
    response = client.open("/v1/health", method=method)
    assert (response.status_code, response.mimetype) == (404, "application/problem+json")


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS"])
def test_another_method_is_served_by_the_operation_for_any_method(
    client: Client, functions: Functions, method: str
) -> None:
    response = client.open("/v1/any/x", method=method)
    assert (response.status_code, functions.event["httpMethod"]) == (200, method)
    assert functions.event["pathParameters"] == {"name": "x"}
    assert functions.event["operationId"] is None
    assert "Content-Length" in response.headers or method == "HEAD"


def test_a_described_method_takes_precedence_over_any_method(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/any/x")
    assert functions.event["operationId"] == "get_any"


def test_a_trailing_slash_is_ignored(client: Client, functions: Functions) -> None:
    assert client.get("/v1/health/").status_code == 200
    assert functions.event["path"] == "/v1/health/"


def test_a_literal_path_takes_precedence_over_a_parameter(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/cabinets/all")
    assert functions.event["operationId"] == "get_all"


def test_a_greedy_parameter_matches_the_rest_of_the_path(
    client: Client, functions: Functions
) -> None:
    client.get("/v1/files/a/b.txt")
    assert functions.event["pathParameters"] == {"file": "a/b.txt"}


def test_a_body_over_the_limit_is_413(client: Client, functions: Functions) -> None:
    response = client.post("/v1/health", data=TOO_MANY_BYTES, content_type="application/json")
    assert_problem(response, 413, "request_too_large")
    assert functions.event == {}


def test_a_body_at_the_limit_is_passed_through(client: Client, functions: Functions) -> None:
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
def test_an_unsupported_integration_is_refused(change: dict[str, str]) -> None:
    wrong = document()
    wrong["paths"]["/v1/health"]["get"]["x-yc-apigateway-integration"] = INTEGRATION | change
    with pytest.raises(CannotStart, match="GET /v1/health"):
        Routes(wrong)


# --- Observers ------------------------------------------------------------------------------------


def test_an_observer_receives_the_exchange(client: Client, exchanges: list[Exchange]) -> None:
    response = client.patch("/v1/cabinets/C-1/cells/3", json={"health": "ok"})
    [exchange] = exchanges
    assert (exchange.method, exchange.path) == ("PATCH", "/v1/cabinets/C-1/cells/3")
    assert (exchange.resource, exchange.function) == (CELL, "cabinets")
    assert (exchange.status, exchange.response_body) == (200, b"ok")
    assert exchange.request_body == b'{"health": "ok"}'
    assert exchange.request_id == response.headers["X-Request-Id"]
    assert 0 < exchange.duration_ms < 5000


def test_an_observer_receives_refused_requests(client: Client, exchanges: list[Exchange]) -> None:
    client.get("/v1/nowhere")
    [exchange] = exchanges
    assert (exchange.status, exchange.resource, exchange.function) == (404, None, None)


def test_an_observer_is_called_before_the_response_is_sent(pool: FunctionPool) -> None:
    order: list[str] = []
    gateway = Gateway(
        Routes(document()), pool, port=0, observers=[lambda _: order.append("observed")]
    )

    def start_response(*_: Any) -> Callable[[bytes], object]:
        order.append("responded")
        return lambda _: None

    gateway.app(create_environ("/v1/health"), start_response)
    assert order == ["observed", "responded"]


def test_an_exception_in_an_observer_is_500(pool: FunctionPool) -> None:
    def observe(exchange: Exchange) -> None:
        raise LookupError

    gateway = Gateway(Routes(document()), pool, port=0, observers=[observe])
    assert_problem(Client(gateway.app).get("/v1/health"), 500, "internal")


# --- The documentation ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_documentation_loads_nothing_from_other_hosts(client: Client, path: str) -> None:
    response = client.get(path)
    loaded = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', response.text)
    assert response.mimetype == "text/html"
    assert len(loaded) == 4
    for address in loaded:
        assert address.startswith("/docs/")
        assert client.get(address).status_code == 200


def test_the_served_document_names_this_server_and_has_no_cloud_extensions(
    client: Client,
) -> None:
    response = client.get("/docs/openapi.json")
    assert response.mimetype == "application/json"
    assert "x-yc-" not in response.text
    documented = response.json or {}
    assert documented["servers"] == [{"url": "/"}]
    assert set(documented["paths"]) == set(document()["paths"])
    assert documented["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"


def test_observers_receive_no_documentation_requests(
    client: Client, exchanges: list[Exchange]
) -> None:
    client.get("/docs")
    assert exchanges == []
