"""Bad paths, queries and events: the answer names what is wrong, and nothing breaks."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from local.postgres import Postgres
from shared.api import Route, routes
from tests.integration.good_requests import (
    WITH_BODY,
    event_of,
    fields,
    good_body,
    invoke,
    path_of,
    refusing,
)
from tests.integration.test_authorization import ROUTES
from tests.service import KEYS, Service

WITH_QUERY = {r.operation_id: r for r in ROUTES.values() if r.query.model_fields}
WITH_PATH = {r.operation_id: r for r in ROUTES.values() if r.path_parameters.model_fields}

each_query = pytest.mark.parametrize("route", WITH_QUERY.values(), ids=WITH_QUERY)


@pytest.fixture(scope="module")
def service(postgres: Postgres, template: str) -> Iterator[Service]:
    """One for the whole file: what is refused changes nothing."""
    with refusing(postgres, template) as service:
        yield service


# --- paths ------------------------------------------------------------------------------------

STRANGE = [
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
def test_a_strange_path_is_an_invalid_request_or_names_nothing_of_ours(
    service: Service, route: Route
) -> None:
    raw = json.dumps(good_body(route)).encode() if route.operation_id in WITH_BODY else None
    for name in route.path_parameters.model_fields:
        for value in STRANGE:
            path = path_of(route, **{name: value})
            answer = service.call(route.method, path, raw=raw, key="operator")
            if name in {"booking_id", "command_id"}:
                assert (answer.status, answer.body["code"][-9:]) == (404, "not_found"), value
            else:
                assert fields(answer) == [name], value


@pytest.mark.parametrize(
    "number", ["0", "-1", "1001", "9" * 30, "9" * 5000, "x", "1.5", "1e3", "", "0x1", "null"]
)
def test_a_cells_number_in_a_path_is_a_number(service: Service, number: str) -> None:
    path = f"/v1/cabinets/C-1/cells/{number}"
    answer = service.call("PATCH", path, {"health": "ok", "reason": "x"}, key="operator")
    assert answer.status in {400, 404}
    if answer.status == 404:
        assert (number, answer.body["code"]) == ("", "route_not_found")


# --- queries ----------------------------------------------------------------------------------


@each_query
def test_a_parameter_that_is_not_known_is_refused_by_its_name(
    service: Service, route: Route
) -> None:
    answer = service.call(route.method, f"{path_of(route)}?colour=red")
    assert fields(answer) == ["colour"]


@pytest.mark.parametrize("name", ["GET /v1/stats", "GET /v1/cabinets/{cabinet_id}"])
def test_a_route_without_parameters_refuses_them(service: Service, name: str) -> None:
    route = ROUTES[name]
    assert fields(service.call("GET", f"{path_of(route)}?limit=1")) == ["limit"]


@each_query
def test_a_parameter_that_is_given_twice_is_named(service: Service, route: Route) -> None:
    answer = service.call(route.method, f"{path_of(route)}?limit=1&limit=2")
    assert fields(answer) == ["limit"]


@each_query
def test_every_parameter_is_checked(service: Service, route: Route) -> None:
    for name in route.query.model_fields:
        for value in ("", "x" * 501, "%00", "шкаф", "';drop table cabinets;--", "[]"):
            path = f"{path_of(route)}?{name}={quote(value, safe='%')}"
            assert fields(service.call(route.method, path)) == [name], value


@each_query
def test_a_limit_is_from_1_to_200(service: Service, route: Route) -> None:
    for value in ("0", "201", "-1", "1.5", "9" * 30, "9" * 5000, "1e2", "true"):
        answer = service.call(route.method, f"{path_of(route)}?limit={value}")
        assert fields(answer) == ["limit"], value
    for value in ("1", "200"):
        assert service.call(route.method, f"{path_of(route)}?limit={value}").status == 200


@each_query
def test_another_lists_cursor_is_refused(service: Service, route: Route) -> None:
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
    ]
    for cursor in forged:
        answer = service.call(route.method, f"{path_of(route)}?cursor={cursor}")
        assert fields(answer) == ["cursor"], cursor


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
def test_the_search_for_cabinets_checks_its_parameters(
    service: Service, query: str, field: str
) -> None:
    assert field in fields(service.call("GET", f"/v1/cabinets?{query}"))


# --- the edge itself --------------------------------------------------------------------------


def test_a_function_knows_its_own_routes_only() -> None:
    for route in routes():
        event = event_of(route, None, resource="/v1/elsewhere")
        assert invoke(route, event)["statusCode"] == 404


@pytest.mark.parametrize(
    "event", [{}, {"requestContext": None, "headers": None, "queryStringParameters": None}], ids=str
)
def test_an_event_of_another_shape_is_no_route(service: Service, event: dict[str, Any]) -> None:
    answer = invoke(WITH_BODY["create_swap"], event)
    assert answer["statusCode"] == 404
    assert answer["headers"]["X-Request-Id"]


def test_every_answer_has_a_request_id_that_its_problem_names(service: Service) -> None:
    answer = service.call("GET", "/v1/cabinets/C-9")
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]
    assert service.call("GET", "/v1/stats").headers["X-Request-Id"]


def test_no_key_is_in_an_answer(service: Service) -> None:
    for key in KEYS:
        answer = service.call("POST", "/v1/cabinets", raw=b"{", key=key)
        assert not any(secret in json.dumps(answer.body) for secret in KEYS.values())
