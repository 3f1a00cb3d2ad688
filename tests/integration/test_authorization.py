"""Who may do what: every route with every key."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import functions
from local import examples
from local.postgres import Postgres
from shared.api import Route, routes
from tests.cloud import Context
from tests.database import cloned
from tests.service import Answer, Service, running

for folder in Path(functions.__path__[0]).iterdir():
    if (folder / "main.py").exists():
        importlib.import_module(f"functions.{folder.name}.main")

ROUTES = {f"{route.method} {route.path}": route for route in routes()}
CLOSED = {name: route for name, route in ROUTES.items() if route.scope is not None}
SCOPES = ["read", "backend", "operator"]
every_closed_route = pytest.mark.parametrize("route", CLOSED.values(), ids=CLOSED)


@pytest.fixture(scope="module")
def service(postgres: Postgres, template: str) -> Iterator[Service]:
    """One for the whole file: what is refused changes nothing."""
    with (
        cloned(postgres, template) as url,
        pytest.MonkeyPatch.context() as patch,
        running(url, patch) as service,
    ):
        yield service


def path_of(route: Route) -> str:
    """The route's path, with names that nobody has."""
    return route.path.format(
        cabinet_id="C-9",
        cell_number=1,
        accumulator_id="A-9",
        booking_id="00000000-0000-4000-8000-000000000000",
        command_id="00000000-0000-4000-8000-000000000000",
    )


def request(service: Service, route: Route, key: str | None) -> Answer:
    bodies: dict[str, Any] = examples.REQUESTS.get(route.operation_id, {"none": None})
    return service.call(route.method, path_of(route), next(iter(bodies.values())), key=key)


@every_closed_route
def test_without_a_key_nothing_is_answered(service: Service, route: Route) -> None:
    answer = request(service, route, None)
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")


@every_closed_route
def test_with_a_key_that_nobody_has_nothing_is_answered(service: Service, route: Route) -> None:
    answer = request(service, route, "guessed")
    assert (answer.status, answer.body["code"]) == (403, "forbidden")


@every_closed_route
def test_a_route_is_open_from_its_scope_on(service: Service, route: Route) -> None:
    needed = SCOPES.index(route.scope or "read")
    if route.operation_id == "send_command":
        needed = SCOPES.index("operator")  # the example's own scope
    for rank, scope in enumerate(SCOPES):
        answer = request(service, route, scope)
        if rank < needed:
            assert (answer.status, answer.body["code"]) == (403, "forbidden")
            assert f"the key has {scope}" in answer.body["detail"]
        else:
            assert answer.status not in {401, 403}


def test_the_scopes_are_those_of_the_design() -> None:
    wanted = {
        "GET /v1/cabinets": "read",
        "POST /v1/cabinets": "operator",
        "GET /v1/cabinets/{cabinet_id}": "read",
        "PATCH /v1/cabinets/{cabinet_id}": "operator",
        "DELETE /v1/cabinets/{cabinet_id}": "operator",
        "PATCH /v1/cabinets/{cabinet_id}/cells/{cell_number}": "operator",
        "POST /v1/cabinets/{cabinet_id}/commands": "backend",  # and the command's own
        "GET /v1/commands/{command_id}": "read",
        "GET /v1/accumulators": "read",
        "POST /v1/accumulators": "operator",
        "GET /v1/accumulators/{accumulator_id}": "read",
        "PATCH /v1/accumulators/{accumulator_id}": "operator",
        "DELETE /v1/accumulators/{accumulator_id}": "operator",
        "GET /v1/accumulators/{accumulator_id}/movements": "read",
        "POST /v1/bookings": "backend",
        "GET /v1/bookings": "read",
        "GET /v1/bookings/{booking_id}": "read",
        "DELETE /v1/bookings/{booking_id}": "backend",
        "POST /v1/bookings/{booking_id}/unlock": "backend",
        "POST /v1/swaps": "backend",
        "GET /v1/stats": "read",
        "GET /v1/health": None,
    }
    assert {name: route.scope for name, route in ROUTES.items()} == wanted


@pytest.mark.parametrize("key", [None, "guessed", "read"])
def test_health_is_told_to_everybody(service: Service, key: str | None) -> None:
    assert service.call("GET", "/v1/health", key=key).status in {200, 503}


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic key-of-operator", "key-of-operator", "Bearer key\xff"],
    ids=repr,
)
def test_a_header_without_a_key_opens_nothing(service: Service, authorization: str) -> None:
    answer = service.call("GET", "/v1/cabinets", key=None, headers={"Authorization": authorization})
    assert answer.status == 403


def test_who_may_not_learns_nothing_of_the_body(service: Service) -> None:
    answer = service.call("POST", "/v1/cabinets", raw=b"{", key="backend")
    assert answer.status == 403


def test_a_refused_request_does_nothing(service: Service) -> None:
    service.add_cabinet()
    service.call("DELETE", "/v1/cabinets/C-1", key="backend")
    service.call("PATCH", "/v1/cabinets/C-1", {"status": "inactive"}, key="read")
    assert service.get("/v1/cabinets/C-1")["status"] == "active"


@every_closed_route
def test_a_function_that_is_called_past_the_gateway_asks_for_the_caller(
    service: Service, route: Route
) -> None:
    handler = importlib.import_module(route.module).handler
    event = {
        "httpMethod": route.method,
        "resource": route.path,
        "headers": {"Authorization": "Bearer key-of-operator"},
    }
    assert handler(event, Context())["statusCode"] == 401


def test_a_method_that_a_path_has_not_is_no_route(service: Service) -> None:
    for method, path in [("PUT", "/v1/cabinets"), ("DELETE", "/v1/stats"), ("GET", "/v2")]:
        answer = service.call(method, path)
        assert (answer.status, answer.body["code"]) == (404, "route_not_found")
