"""The document's examples are true, and the check of answers finds what is not in it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared import api, errors
from shared.api.problems import problem
from tests.openapi_check import Undocumented, check_answer
from tests.unit.openapi_document import ROUTES, faults, operation, resolve

JSON = {"X-Request-Id": "r-1", "Content-Type": "application/json"}
PROBLEM = {"X-Request-Id": "r-1", "Content-Type": "application/problem+json"}


def media_types() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every body in the document, with a name for it."""
    for route in ROUTES:
        described = operation(route)
        if "requestBody" in described:
            for kind, content in described["requestBody"]["content"].items():
                yield f"{route.operation_id} {kind}", content
        for status, response in described["responses"].items():
            for kind, content in resolve(response).get("content", {}).items():
                yield f"{route.operation_id} {status} {kind}", content


def examples_of(content: dict[str, Any]) -> list[Any]:
    named = [example["value"] for example in content.get("examples", {}).values()]
    return named + ([content["example"]] if "example" in content else [])


# --- Examples ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "content"), [*media_types()])
def test_every_body_has_examples_that_its_schema_takes(name: str, content: dict[str, Any]) -> None:
    told = examples_of(content)
    assert told
    for example in told:
        assert faults(content["schema"], example) == []


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body], ids=lambda route: route.operation_id
)
def test_the_service_takes_every_example_of_a_request(route: api.Route) -> None:
    assert route.body
    for example in examples_of(operation(route)["requestBody"]["content"]["application/json"]):
        route.body.validate_json(json.dumps(example), strict=True)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_every_example_of_an_answer_passes_the_check_of_answers(route: api.Route) -> None:
    for status, response in operation(route)["responses"].items():
        for kind, content in resolve(response).get("content", {}).items():
            for example in examples_of(content):
                headers = {"X-Request-Id": "r-1", "Content-Type": kind}
                check_answer(route.method, route.path, int(status), headers, json.dumps(example))


# --- The check of answers ---------------------------------------------------------------------

HEALTHY = '{"status": "ok", "database": "ok", "queue": "ok"}'


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        pytest.param(201, JSON, HEALTHY, id="status"),
        pytest.param(200, PROBLEM, HEALTHY, id="media type"),
        pytest.param(200, {"Content-Type": "application/json"}, HEALTHY, id="no request id"),
        pytest.param(200, JSON, "", id="no body"),
        pytest.param(200, JSON, "{", id="no JSON"),
        pytest.param(200, JSON, '{"status": "ok", "database": "ok"}', id="field missing"),
        pytest.param(200, JSON, HEALTHY.replace("}", ', "more": 1}'), id="field too many"),
        pytest.param(200, JSON, HEALTHY.replace("ok", "fine"), id="value"),
    ],
)
def test_an_answer_that_is_not_documented_is_found(
    status: int, headers: dict[str, str], body: str
) -> None:
    check_answer("GET", "/v1/health", 200, JSON, HEALTHY)
    with pytest.raises(Undocumented, match="GET /v1/health answered"):
        check_answer("GET", "/v1/health", status, headers, body)


def test_an_error_that_the_route_does_not_have_is_found() -> None:
    known = json.dumps(problem(errors.CabinetNotFound(), "r-1"))
    check_answer("GET", "/v1/cabinets/C-1", 404, PROBLEM, known)
    foreign = json.dumps(problem(errors.BookingNotFound(), "r-1"))
    with pytest.raises(Undocumented):
        check_answer("GET", "/v1/cabinets/C-1", 404, PROBLEM, foreign)


def test_a_body_beside_204_is_found() -> None:
    check_answer("DELETE", "/v1/cabinets/C-1", 204, JSON, b"")
    with pytest.raises(Undocumented, match="204 with a body"):
        check_answer("DELETE", "/v1/cabinets/C-1", 204, JSON, b"{}")


def test_an_unknown_path_may_only_be_answered_that_there_is_none() -> None:
    body = json.dumps(problem(errors.RouteNotFound(), "r-1"))
    check_answer("PUT", "/v1/cabinets?limit=1", 404, PROBLEM, body)
    with pytest.raises(Undocumented, match="not in the document"):
        check_answer("GET", "/v1/nothing", 200, JSON, "{}")
