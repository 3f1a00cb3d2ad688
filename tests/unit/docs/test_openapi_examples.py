"""The examples in docs/openapi.json are valid, and the response check finds what it lacks."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared import api, errors
from shared.api.problems import problem
from tests.support.openapi_check import Undocumented, check_response
from tests.unit.docs.openapi_document import ROUTES, faults, operation, resolve

JSON = {"X-Request-Id": "r-1", "Content-Type": "application/json"}
PROBLEM = {"X-Request-Id": "r-1", "Content-Type": "application/problem+json"}


def media_types() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every body in the document, with a name for it."""
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
def test_every_body_has_examples_that_match_its_schema(name: str, content: dict[str, Any]) -> None:
    examples = examples_of(content)
    assert examples
    for example in examples:
        assert faults(content["schema"], example) == []


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body], ids=lambda route: route.operation_id
)
def test_the_service_accepts_every_example_request(route: api.Route) -> None:
    assert route.body
    for example in examples_of(operation(route)["requestBody"]["content"]["application/json"]):
        route.body.validate_json(json.dumps(example), strict=True)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_every_example_response_passes_the_response_check(route: api.Route) -> None:
    for status, response in operation(route)["responses"].items():
        for kind, content in resolve(response).get("content", {}).items():
            for example in examples_of(content):
                headers = {"X-Request-Id": "r-1", "Content-Type": kind}
                headers |= {"Location": "/v1/…", "ETag": 'W/"1"'}
                check_response(route.method, route.path, int(status), headers, json.dumps(example))


# --- The response check -----------------------------------------------------------------------

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
def test_an_undocumented_response_is_detected(
    status: int, headers: dict[str, str], body: str
) -> None:
    check_response("GET", "/v1/health/ready", 200, JSON, HEALTHY)
    with pytest.raises(Undocumented, match="GET /v1/health/ready answered"):
        check_response("GET", "/v1/health/ready", status, headers, body)


def test_an_error_of_another_route_is_detected() -> None:
    known = json.dumps(problem(errors.CabinetNotFound(), "r-1"))
    check_response("GET", "/v1/cabinets/C-1", 404, PROBLEM, known)
    foreign = json.dumps(problem(errors.BookingNotFound(), "r-1"))
    with pytest.raises(Undocumented):
        check_response("GET", "/v1/cabinets/C-1", 404, PROBLEM, foreign)


def test_a_204_response_with_a_body_is_detected() -> None:
    check_response("DELETE", "/v1/cabinets/C-1", 204, JSON, b"")
    with pytest.raises(Undocumented, match="204 with a body"):
        check_response("DELETE", "/v1/cabinets/C-1", 204, JSON, b"{}")


def test_the_only_valid_response_to_an_unknown_path_is_404() -> None:
    body = json.dumps(problem(errors.RouteNotFound(), "r-1"))
    check_response("GET", "/v1/nothing?limit=1", 404, PROBLEM, body)
    with pytest.raises(Undocumented, match="not in the document"):
        check_response("GET", "/v1/nothing", 200, JSON, "{}")


def test_the_response_to_an_unknown_method_is_405_with_allow() -> None:
    allow = ["GET", "HEAD", "POST"]
    body = json.dumps(problem(errors.MethodNotAllowed(allow=allow), "r-1"))
    headers = PROBLEM | {"Allow": "GET, HEAD, POST"}
    check_response("PUT", "/v1/cabinets?limit=1", 405, headers, body)
    for wrong in (PROBLEM, PROBLEM | {"Allow": "GET"}):
        with pytest.raises(Undocumented, match="not in the document"):
            check_response("PUT", "/v1/cabinets", 405, wrong, body)


def test_a_response_to_head_with_a_body_is_detected() -> None:
    check_response("HEAD", "/v1/cabinets", 200, JSON, b"")
    with pytest.raises(Undocumented, match="HEAD /v1/cabinets"):
        check_response("HEAD", "/v1/cabinets", 200, JSON, b"{}")
