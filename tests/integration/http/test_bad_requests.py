"""Invalid paths, queries and events: the response names what is wrong."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from shared.api import Route, routes
from tests.integration.http.valid_requests import (
    WITH_BODY,
    api_event,
    fields,
    invoke,
    path_of,
    valid_body,
)
from tests.support.routes import NEEDED_QUERIES, ROUTES
from tests.support.service import KEYS, Service

WITH_QUERY = {r.operation_id: r for r in ROUTES.values() if r.query.model_fields}
WITH_PATH = {r.operation_id: r for r in ROUTES.values() if r.path_parameters.model_fields}

PAGED = {name: r for name, r in WITH_QUERY.items() if "limit" in r.query.model_fields}
WITH_CURSOR = {name: r for name, r in WITH_QUERY.items() if "cursor" in r.query.model_fields}
LARGEST_PAGES = {"list_all_movements": 1000, "list_events": 1000, "list_attention": 500}
each_query = pytest.mark.parametrize("route", WITH_QUERY.values(), ids=WITH_QUERY)


# --- paths ------------------------------------------------------------------------------------

INVALID_IDS = [
    "x" * 65,
    "';drop table cabinets;--",
    "шкаф",
    "\x00",
    " ",
    "A 1",
    "A-1\n",
    "%00",
    "😀",
    "../..".replace("/", "\\"),
    "{}",
    "٣",
]


@pytest.mark.parametrize("route", WITH_PATH.values(), ids=WITH_PATH)
def test_an_invalid_path_parameter_is_400_or_404(service: Service, route: Route) -> None:
    raw = json.dumps(valid_body(route)).encode() if route.operation_id in WITH_BODY else None
    for name in route.path_parameters.model_fields:
        for value in INVALID_IDS:
            path = path_of(route, **{name: value})
            response = service.call(route.method, path, raw=raw, key="operator")
            if name in {"booking_id", "command_id", "anomaly_id", "webhook_id"}:
                assert (response.status, response.body["code"][-9:]) == (404, "not_found"), value
            else:
                assert fields(response) == [name], value


@pytest.mark.parametrize(
    "number", ["0", "-1", "1001", "9" * 30, "9" * 5000, "x", "1.5", "1e3", "", "0x1", "null"]
)
def test_an_invalid_cell_number_in_a_path_is_refused(service: Service, number: str) -> None:
    path = f"/v1/cabinets/C-1/cells/{number}"
    response = service.call("PATCH", path, {"health": "ok", "reason": "x"}, key="operator")
    assert response.status in {400, 404}
    if response.status == 404:
        assert (number, response.body["code"]) == ("", "route_not_found")


# --- queries ----------------------------------------------------------------------------------


@each_query
def test_an_unknown_query_parameter_is_named(service: Service, route: Route) -> None:
    needed = NEEDED_QUERIES.get(route.operation_id, "")
    response = service.call(route.method, f"{path_of(route)}?colour=red&{needed}", key="operator")
    assert fields(response) == ["colour"]


@pytest.mark.parametrize("name", ["GET /v1/stats", "GET /v1/cabinets/{cabinet_id}"])
def test_a_route_without_query_parameters_refuses_them(service: Service, name: str) -> None:
    route = ROUTES[name]
    assert fields(service.call("GET", f"{path_of(route)}?limit=1")) == ["limit"]


@each_query
def test_a_repeated_query_parameter_is_named(service: Service, route: Route) -> None:
    response = service.call(route.method, f"{path_of(route)}?limit=1&limit=2", key="operator")
    assert fields(response) == ["limit"]


@each_query
def test_every_query_parameter_is_validated(service: Service, route: Route) -> None:
    for name in route.query.model_fields:
        for value in ("", "x" * 501, "%00", "шкаф", "';drop table cabinets;--", "[]"):
            path = f"{path_of(route)}?{name}={quote(value, safe='%')}"
            assert fields(service.call(route.method, path, key="operator")) == [name], value


@pytest.mark.parametrize("route", PAGED.values(), ids=PAGED)
def test_a_limit_is_from_1_to_the_largest_page(service: Service, route: Route) -> None:
    largest = LARGEST_PAGES.get(route.operation_id, 200)
    for value in ("0", str(largest + 1), "-1", "1.5", "9" * 30, "9" * 5000, "1e2", "true"):
        response = service.call(route.method, f"{path_of(route)}?limit={value}", key="operator")
        assert fields(response) == ["limit"], value
    for value in ("1", str(largest)):
        assert service.call(
            route.method, f"{path_of(route)}?limit={value}", key="operator"
        ).status in {200, 404}


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/movements", "since"),
        ("/v1/movements", "until"),
        ("/v1/commands", "since"),
        ("/v1/contractors", "held_since_before"),
    ],
)
def test_a_time_that_utc_does_not_have_is_named(
    service: Service, path: str, name: str, value: str
) -> None:
    assert fields(service.call("GET", f"{path}?{name}={quote(value)}")) == [name]


@pytest.mark.parametrize("route", WITH_CURSOR.values(), ids=WITH_CURSOR)
def test_a_forged_cursor_is_refused(service: Service, route: Route) -> None:
    forged = [
        "WzEsIDIsIDNd",  # [1, 2, 3]
        "W10",  # []
        "e30",  # {}
        "bnVsbA",  # null
        "WzFlMzAwXQ",  # [1e300]
        "W251bGwsIG51bGxd",  # [null, null]
        "WyJcdWQ4MDAiXQ",  # ["\ud800"]
        "WyInO2Ryb3AgdGFibGU7LS0iXQ",  # ["';drop table;--"]
        "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTldIA",  # [99999999999999999999999999999]
        "WyI5OTk5LTEyLTMxVDIzOjU5OjU5LTIzOjU5IiwgMV0",  # ["9999-12-31T23:59:59-23:59", 1]
        "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwgMV0",  # ["0001-01-01T00:00:00+23:59", 1]
    ]
    for cursor in forged:
        response = service.call(route.method, f"{path_of(route)}?cursor={cursor}", key="operator")
        assert fields(response) == ["cursor"], cursor


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("near=1", "near"),
        ("near=,", "near.lat"),
        ("near=a,b", "near.lat"),
        ("near=91,0", "near.lat"),
        ("near=0,181", "near.lon"),
        ("near=nan,0", "near.lat"),
        ("near=0,inf", "near.lon"),
        ("near=1,2,3", "near.lon"),
        ("near=1e999,0", "near.lat"),
        ("radius_m=5", "body"),
        ("near=0,0&radius_m=-1", "radius_m"),
        ("near=0,0&radius_m=21000001", "radius_m"),
        ("min_charge=101", "min_charge"),
        ("min_available=1001", "min_available"),
        ("min_free_cells=-1", "min_free_cells"),
        ("online=perhaps", "online"),
    ],
)
def test_the_parameters_of_the_cabinet_search_are_validated(
    service: Service, query: str, field: str
) -> None:
    assert field in fields(service.call("GET", f"/v1/cabinets?{query}"))


# --- events and responses ---------------------------------------------------------------------


def test_a_function_responds_404_to_a_route_of_another_function() -> None:
    for route in routes():
        event = api_event(route, None, resource="/v1/elsewhere")
        assert invoke(route, event)["statusCode"] == 404


@pytest.mark.parametrize(
    "event", [{}, {"requestContext": None, "headers": None, "queryStringParameters": None}], ids=str
)
def test_an_event_without_a_route_is_404(service: Service, event: dict[str, Any]) -> None:
    response = invoke(WITH_BODY["create_swap"], event)
    assert response["statusCode"] == 404
    assert response["headers"]["X-Request-Id"]


def test_every_response_has_a_request_id_and_a_problem_repeats_it(service: Service) -> None:
    response = service.call("GET", "/v1/cabinets/C-9")
    assert response.body["request_id"] == response.headers["X-Request-Id"]
    assert service.call("GET", "/v1/stats").headers["X-Request-Id"]


def test_no_response_contains_a_key(service: Service) -> None:
    for key in KEYS:
        response = service.call("POST", "/v1/cabinets", raw=b"{", key=key)
        assert not any(secret in json.dumps(response.body) for secret in KEYS.values())
