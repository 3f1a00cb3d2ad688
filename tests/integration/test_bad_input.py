"""Bad input: whatever is sent, the answer names what is wrong, and nothing breaks."""

import importlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from local import examples
from local.postgres import Postgres
from shared.api import Route, routes
from tests.cloud import Context
from tests.database import cloned
from tests.integration.test_authorization import ROUTES
from tests.service import KEYS, Answer, Service, running

WITH_BODY = {
    route.operation_id: route
    for route in ROUTES.values()
    if route.operation_id in examples.REQUESTS
}
WITH_QUERY = {r.operation_id: r for r in ROUTES.values() if r.query.model_fields}
WITH_PATH = {r.operation_id: r for r in ROUTES.values() if r.path_parameters.model_fields}
GOOD = {
    "cabinet_id": "C-1",
    "cell_number": "1",
    "accumulator_id": "C-1.A-1",
    "booking_id": "00000000-0000-4000-8000-000000000000",
    "command_id": "00000000-0000-4000-8000-000000000000",
}
REQUIRED = {
    "register_cabinet": {"cabinet_id", "coords", "cells_total"},
    "change_cabinet": set(),
    "change_cell": {"health", "reason"},
    "send_command": {"kind", "cells", "reason"},
    "register_accumulator": {"accumulator_id"},
    "correct_accumulator": {"reason"},
    "create_booking": {"cabinet_id", "contractor_id", "kind", "count"},
    "create_swap": {"scooter_id", "contractor_id", "installed_accumulator_id"},
}
each_body = pytest.mark.parametrize("route", WITH_BODY.values(), ids=WITH_BODY)
each_query = pytest.mark.parametrize("route", WITH_QUERY.values(), ids=WITH_QUERY)


@pytest.fixture(scope="module")
def service(postgres: Postgres, template: str) -> Iterator[Service]:
    """One for the whole file: what is refused changes nothing."""
    with (
        cloned(postgres, template) as url,
        pytest.MonkeyPatch.context() as patch,
        running(url, patch) as service,
    ):
        service.add_cabinet(charges=[98])
        yield service


def good_body(route: Route) -> dict[str, Any]:
    bodies = examples.REQUESTS[route.operation_id]
    return dict(next(iter(bodies.values())))


def path_of(route: Route, **given: str) -> str:
    return route.path.format(**{n: quote(v, safe="") for n, v in (GOOD | given).items()})


def send(service: Service, route: Route, raw: bytes) -> Answer:
    return service.call(route.method, path_of(route), raw=raw, key="operator")


def fields(answer: Answer) -> list[str]:
    """The fields that a 400 names."""
    assert answer.status == 400, answer
    assert answer.body["code"] == "invalid_request"
    assert answer.body["errors"]
    assert all(fault["message"] for fault in answer.body["errors"])
    return [fault["field"] for fault in answer.body["errors"]]


# --- bodies -----------------------------------------------------------------------------------


NO_JSON_OBJECTS = {
    "nothing": b"",
    "cut": b"{",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "NaN": b"NaN",
    "no UTF-8": b"\xff\xfe",
    "two": b"{}{}",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a huge number": b"9" * 100_000,
    "NUL": b"\x00",
    "single quotes": b"{'a': 1}",
    "half a megabyte": b'"' + b"x" * 500_000 + b'"',
}


@each_body
def test_a_body_that_is_no_json_object_is_refused(service: Service, route: Route) -> None:
    for name, raw in NO_JSON_OBJECTS.items():
        assert fields(send(service, route, raw)) == ["body"], name


@each_body
def test_a_field_that_is_not_known_is_refused_by_its_name(service: Service, route: Route) -> None:
    answer = send(service, route, json.dumps(good_body(route) | {"colour": "red"}).encode())
    assert [name.split(".")[-1] for name in fields(answer)] == ["colour"]


@each_body
def test_a_field_that_is_missing_is_named(service: Service, route: Route) -> None:
    for name in REQUIRED[route.operation_id]:
        body = good_body(route)
        del body[name]
        told = fields(send(service, route, json.dumps(body).encode()))
        # Of a command without its kind nothing can be said but that.
        assert all(name in field.split(".") or (name, field) == ("kind", "body") for field in told)


@each_body
def test_a_body_that_is_empty_names_all_that_is_missing(service: Service, route: Route) -> None:
    told = fields(send(service, route, b"{}"))
    without_a_name = route.operation_id in {"send_command", "change_cabinet"}
    assert told == ["body"] if without_a_name else REQUIRED[route.operation_id] <= set(told)


WRONG = {
    "an object": "{}",
    "a deep object": '{"a":' * 200 + "1" + "}" * 200,
    "NUL": '"\\u0000"',
    "half a surrogate pair": '"\\ud800"',
    "a huge whole number": "9" * 5000,
    "a huge number": "1e999",
    "a negative number": "-1",
    "a fraction": "0.5",
    "infinity": "Infinity",
    "a list of null": "[null]",
    "unicode": '"шкаф \\u202e"',
    "a long text": json.dumps("x" * 501),
    "an injection": '"\'; drop table cabinets; --"',
}


@each_body
def test_a_field_with_a_value_that_cannot_be_is_named(service: Service, route: Route) -> None:
    for name in good_body(route):
        if name in {"reason", "status_reason", "address"}:
            wrong = {n: v for n, v in WRONG.items() if n not in {"unicode", "an injection"}}
        else:
            wrong = WRONG
        for kind, value in wrong.items():
            body = {**good_body(route), name: "@"}
            raw = json.dumps(body).replace('"@"', value).encode()
            told = fields(send(service, route, raw))
            assert all(name in f.split(".") or f == "body" for f in told), (name, kind, told)


@each_body
def test_a_number_is_not_written_as_a_text_nor_a_truth(service: Service, route: Route) -> None:
    for name, value in good_body(route).items():
        if isinstance(value, int):
            for wrong in (str(value), True, float(value) + 0.25):
                body = good_body(route) | {name: wrong}
                assert name in fields(send(service, route, json.dumps(body).encode()))[0]


@each_body
def test_a_body_may_come_as_base64(service: Service, route: Route) -> None:
    """The gateway encodes what does not call itself JSON."""
    answer = service.call(
        route.method,
        path_of(route),
        key="operator",
        raw=b"{",
        headers={"Content-Type": "application/octet-stream"},
    )
    assert fields(answer) == ["body"]
    event = event_of(route, json.dumps(good_body(route)))
    event["headers"] = {}
    plain = invoke(route, event)
    assert plain["statusCode"] != 400


def test_a_body_in_base64_is_read(service: Service) -> None:
    body = {"accumulator_id": "A-1"}
    answer = service.call(
        "POST",
        "/v1/accumulators",
        raw=json.dumps(body).encode(),
        key="operator",
        headers={"Content-Type": "text/plain"},
    )
    assert answer.status == 201


def event_of(route: Route, body: Any, **more: Any) -> dict[str, Any]:
    return {
        "httpMethod": route.method,
        "resource": route.path,
        "path": path_of(route),
        "pathParameters": GOOD,
        "requestContext": {"authorizer": {"name": "operator", "scope": "operator"}},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def invoke(route: Route, event: dict[str, Any]) -> Any:
    return importlib.import_module(route.module).handler(event, Context())


@pytest.mark.parametrize(
    ("body", "is_base64"),
    [("%%%", True), ("abc", True), ("шкаф", True), ("\ud800", False), (None, False), ("", True)],
    ids=repr,
)
@each_body
def test_a_body_that_cannot_be_decoded_is_refused(
    service: Service,
    route: Route,
    body: str | None,
    is_base64: bool,  # noqa: FBT001 - a parameter
) -> None:
    answer = invoke(route, event_of(route, body, isBase64Encoded=is_base64))
    assert answer["statusCode"] == 400
    assert [f["field"] for f in json.loads(answer["body"])["errors"]] == ["body"]


def test_a_body_that_is_too_large_is_refused_by_the_gateway_and_the_function(
    service: Service,
) -> None:
    route = WITH_BODY["register_accumulator"]
    large = b" " * (2_621_440 + 1)
    answer = send(service, route, large)
    assert (answer.status, answer.body["code"]) == (413, "request_too_large")
    assert invoke(route, event_of(route, large.decode()))["statusCode"] == 413
    assert fields(send(service, route, large[1:])) == ["body"]


def test_no_more_faults_are_told_than_a_person_reads(service: Service) -> None:
    body = {str(number): 1 for number in range(1000)}
    answer = service.call("POST", "/v1/swaps", body)
    assert len(fields(answer)) == 20


def test_an_answer_never_repeats_what_was_sent(service: Service) -> None:
    answer = service.call("POST", "/v1/swaps", {"scooter_id": "hush hush"})
    assert "hush" not in json.dumps(answer.body)


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
