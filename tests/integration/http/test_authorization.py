"""Authentication and authorization: every route with every key."""

import importlib

import pytest

from shared.api import Route
from tests.support.cloud import Context
from tests.support.routes import PROTECTED_ROUTES, ROUTES, UNKNOWN_IDS, send_example
from tests.support.service import Service

SCOPES = ["read", "backend", "operator"]
every_protected_route = pytest.mark.parametrize(
    "route", PROTECTED_ROUTES.values(), ids=PROTECTED_ROUTES
)


@every_protected_route
def test_a_request_without_a_key_is_401(service: Service, route: Route) -> None:
    response = send_example(service, route, None)
    assert (response.status, response.body["code"]) == (401, "unauthenticated")


@every_protected_route
def test_a_request_with_an_unknown_key_is_403(service: Service, route: Route) -> None:
    response = send_example(service, route, "guessed")
    assert (response.status, response.body["code"]) == (403, "forbidden")


@every_protected_route
def test_a_route_accepts_its_scope_and_higher_ones(service: Service, route: Route) -> None:
    needed = SCOPES.index(route.scope or "read")
    if route.operation_id == "send_command":
        needed = SCOPES.index("operator")  # the example's own scope
    for rank, scope in enumerate(SCOPES):
        response = send_example(service, route, scope)
        if rank < needed:
            assert (response.status, response.body["code"]) == (403, "forbidden")
            assert f"the key has scope {scope}." in response.body["detail"]
        else:
            assert response.status not in {401, 403}


def test_each_route_has_the_documented_scope() -> None:
    wanted = {
        "GET /v1/cabinets": "read",
        "POST /v1/cabinets": "operator",
        "GET /v1/cabinets/{cabinet_id}": "read",
        "PATCH /v1/cabinets/{cabinet_id}": "operator",
        "DELETE /v1/cabinets/{cabinet_id}": "operator",
        "PATCH /v1/cabinets/{cabinet_id}/cells/{cell_number}": "operator",
        "POST /v1/cabinets/{cabinet_id}/commands": "backend",  # and the command's own scope
        "POST /v1/cabinets/{cabinet_id}/undo": "operator",
        "POST /v1/imports": "operator",
        "GET /v1/overview": "read",
        "GET /v1/attention": "read",
        "GET /v1/history": "read",
        "GET /v1/search": "read",
        "GET /v1/commands": "read",
        "GET /v1/commands/{command_id}": "read",
        "GET /v1/webhooks": "operator",
        "POST /v1/webhooks": "operator",
        "PATCH /v1/webhooks/{webhook_id}": "operator",
        "DELETE /v1/webhooks/{webhook_id}": "operator",
        "POST /v1/webhooks/{webhook_id}/test": "operator",
        "GET /v1/accumulators": "read",
        "POST /v1/accumulators": "operator",
        "GET /v1/accumulators/{accumulator_id}": "read",
        "PATCH /v1/accumulators/{accumulator_id}": "operator",
        "DELETE /v1/accumulators/{accumulator_id}": "operator",
        "GET /v1/accumulators/{accumulator_id}/movements": "read",
        "GET /v1/movements": "read",
        "POST /v1/bookings": "backend",
        "GET /v1/bookings": "read",
        "GET /v1/bookings/{booking_id}": "read",
        "DELETE /v1/bookings/{booking_id}": "backend",
        "POST /v1/bookings/{booking_id}/unlock": "backend",
        "POST /v1/swaps": "backend",
        "POST /v1/transfers": "backend",
        "GET /v1/contractors": "read",
        "GET /v1/contractors/{contractor_id}/data": "operator",
        "DELETE /v1/contractors/{contractor_id}": "operator",
        "GET /v1/anomalies": "read",
        "POST /v1/anomalies/{anomaly_id}/acknowledge": "operator",
        "GET /v1/stats": "read",
        "GET /v1/events": "read",
        "GET /v1/me": "read",
        "GET /v1/health": None,
        "GET /v1/health/ready": "read",
    }
    assert {name: route.scope for name, route in ROUTES.items()} == wanted


@pytest.mark.parametrize("key", [None, "guessed", "read"])
def test_health_requires_no_key(service: Service, key: str | None) -> None:
    response = service.call("GET", "/v1/health", key=key)
    assert (response.status, response.body) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic key-of-operator", "key-of-operator", "Bearer key\xff"],
    ids=repr,
)
def test_a_malformed_authorization_header_is_403(service: Service, authorization: str) -> None:
    response = service.call(
        "GET", "/v1/cabinets", key=None, headers={"Authorization": authorization}
    )
    assert response.status == 403


def test_the_scope_is_checked_before_the_body(service: Service) -> None:
    response = service.call("POST", "/v1/cabinets", raw=b"{", key="backend")
    assert response.status == 403


def test_a_refused_request_changes_nothing(service: Service) -> None:
    service.call("DELETE", "/v1/cabinets/C-1", key="backend")
    service.call("PATCH", "/v1/cabinets/C-1", {"status": "inactive"}, key="read")
    assert service.get("/v1/cabinets/C-1")["status"] == "active"


@every_protected_route
def test_a_function_called_without_the_authorizer_is_401(service: Service, route: Route) -> None:
    handler = importlib.import_module(route.module).handler
    event = {
        "httpMethod": route.method,
        "resource": route.path,
        "headers": {"Authorization": "Bearer key-of-operator"},
    }
    assert handler(event, Context())["statusCode"] == 401


def test_an_unknown_path_is_404(service: Service) -> None:
    response = service.call("GET", "/v2")
    assert (response.status, response.body["code"]) == (404, "route_not_found")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES.values()}))
def test_a_method_that_the_path_does_not_have_is_405(service: Service, path: str) -> None:
    methods = {route.method for route in ROUTES.values() if route.path == path}
    filled = path.format_map(UNKNOWN_IDS)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"} - methods:
        response = service.call(method, filled)
        assert (response.status, response.body["code"]) == (405, "method_not_allowed")
        assert set(response.body["allow"]) == methods | ({"HEAD"} if "GET" in methods else set())
        assert response.headers["Allow"] == ", ".join(response.body["allow"])


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_head_returns_the_same_as_get_without_a_body(service: Service, route: Route) -> None:
    path = route.path.format_map(UNKNOWN_IDS)
    head = service.call("HEAD", path)
    get = service.call("GET", path)
    assert (head.status, head.body) == (get.status, None)
    assert head.headers.get("Content-Type") == get.headers.get("Content-Type")


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
def test_a_method_without_a_route_of_its_own_needs_a_key(service: Service, method: str) -> None:
    assert service.call(method, "/v1/cabinets", key=None).status == 401
    assert service.call(method, "/v1/cabinets", key="guessed").status == 403


@pytest.mark.parametrize("scope", SCOPES)
def test_a_caller_learns_the_name_and_scope_of_its_key(service: Service, scope: str) -> None:
    response = service.call("GET", "/v1/me", key=scope)
    assert (response.status, response.body) == (200, {"caller": scope, "scope": scope})
