"""docs/openapi.json says what the code does, in valid OpenAPI 3.0, fit to be deployed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from werkzeug.test import Client

from local import documents, openapi
from local.functions import FunctionPool
from local.gateway import Gateway
from local.schemas import in_openapi
from shared import api, errors
from shared.api.problems import status_of
from shared.errors import ServiceError
from tests import new_command
from tests.openapi_check import check_answer
from tests.unit.openapi_document import DOCUMENT, ROUTES, faults, operation, resolve


def codes(response: dict[str, Any]) -> set[str]:
    schema = resolve(response)["content"]["application/problem+json"]["schema"]
    return {
        resolve(choice)["properties"]["code"]["enum"][0] for choice in schema.get("oneOf", [schema])
    }


def leaves(root: type[ServiceError]) -> list[type[ServiceError]]:
    """The errors that are raised: those of the tree that have none below them."""
    below = [cls for cls in root.__subclasses__() if cls.__module__ == errors.__name__]
    return [leaf for cls in below for leaf in leaves(cls)] or [root]


# --- The document and the code --------------------------------------------------------------------


def test_the_document_is_valid_openapi() -> None:
    assert [str(error) for error in OpenAPIV30SpecValidator(DOCUMENT).iter_errors()] == []


def test_the_document_is_the_same_each_time() -> None:
    assert json.dumps(openapi.document()) == json.dumps(DOCUMENT)


def test_the_document_has_exactly_the_routes_of_the_functions() -> None:
    described = {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_a_route_is_described_with_every_error_it_raises(route: api.Route) -> None:
    responses = operation(route)["responses"]
    for error in route.raises:
        assert error.code() in codes(responses[str(status_of(error))])


@pytest.mark.parametrize("error", leaves(ServiceError))
def test_every_error_is_described_somewhere(error: type[ServiceError]) -> None:
    if error is errors.RouteNotFound:  # of no route: there is none
        assert codes(DOCUMENT["components"]["responses"]["RouteNotFound"]) == {error.code()}
        return
    status = str(status_of(error))
    found = [operation(route)["responses"].get(status) for route in ROUTES]
    described = set().union(
        *(codes(answer) for answer in found if answer and error.code() in str(resolve(answer)))
    )
    assert error.code() in described


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_a_route_needs_a_key_exactly_if_it_has_a_scope(route: api.Route) -> None:
    described = operation(route)
    assert ("security" in described) == (route.scope is not None)
    assert ({"401", "403"} <= described["responses"].keys()) == (route.scope is not None)
    if route.scope is not None:
        assert f"`{route.scope}`" in described["description"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_an_idempotency_key_is_described_for_every_post(route: api.Route) -> None:
    headers = [resolve(p)["name"] for p in operation(route)["parameters"]]
    assert ("Idempotency-Key" in headers) == (route.method == "POST")


def test_a_query_is_described_with_its_limits_and_defaults() -> None:
    parameters = DOCUMENT["paths"]["/v1/cabinets"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert by_name["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 200,
        "default": 50,
    }
    assert by_name["near"]["schema"] == {"type": "string"}
    assert by_name["near"]["example"] == "55.7558,37.6173"
    assert not by_name["near"]["required"]


def test_a_body_with_a_field_that_is_unknown_is_not_described() -> None:
    schema = DOCUMENT["components"]["schemas"]["BookingRequest"]
    body = {"cabinet_id": "C-1", "contractor_id": "T-7", "kind": "issue", "count": 1}
    assert faults(schema, body) == []
    assert faults(schema, body | {"colour": "red"})


def test_a_command_file_is_all_that_a_new_command_needs_to_be_described(tmp_path: Path) -> None:
    found = new_command.documents_with_it(tmp_path)["openapi.json"]
    content = found["paths"]["/v1/cabinets/{cabinet_id}/commands"]["post"]["requestBody"]["content"]
    mapping = content["application/json"]["schema"]["discriminator"]["mapping"]
    assert mapping[new_command.KIND] == "#/components/schemas/SetChargeLimitRequest"
    described = found["components"]["schemas"]["SetChargeLimitRequest"]
    assert described["description"] == "Charge no further than this."
    assert described["properties"]["limit"] == {
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 100,
    }
    assert [*OpenAPIV30SpecValidator(found).iter_errors()] == []


# --- Deployment -----------------------------------------------------------------------------------


def test_the_document_is_a_terraform_template_of_known_variables() -> None:
    text = (documents.DIRECTORY / "openapi.json").read_text(encoding="utf-8")
    folders = {path.parent.name for path in documents.DIRECTORY.parent.glob("functions/*/main.py")}
    allowed = {f"function_ids.{name}" for name in folders} | {"service_account_id"}
    used = set(re.findall(r"\$\{(.*?)\}", text))
    assert {"service_account_id", "function_ids.authorizer"} < used <= allowed
    assert text.count("${") == len(re.findall(r'"\$\{[\w.]+\}"', text))
    assert "%{" not in text


def test_every_operation_calls_its_function_by_payload_format_1() -> None:
    for route in ROUTES:
        folder = route.module.split(".")[1]
        assert operation(route)["x-yc-apigateway-integration"] == {
            "type": "cloud_functions",
            "function_id": f"${{function_ids.{folder}}}",
            "tag": "$latest",
            "payload_format_version": "1.0",
            "service_account_id": "${service_account_id}",
        }


class Functions:
    """Functions that fail, under an authorizer that answers what it is told to."""

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed

    def authorizer(self, _event: Any, _context: Any) -> Any:
        return {"isAuthorized": self._allowed}

    def cabinets(self, _event: Any, _context: Any) -> Any:
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("method", "headers", "body", "allowed", "status"),
    [
        ("GET", {}, b"", True, 401),
        ("GET", {"Authorization": "Bearer nobody's"}, b"", False, 403),
        ("PUT", {"Authorization": "Bearer key"}, b"", True, 404),
        ("POST", {"Authorization": "Bearer key"}, b" " * 2_621_441, True, 413),
        ("GET", {"Authorization": "Bearer key"}, b"", True, 502),
    ],
)
def test_what_the_gateway_answers_by_itself_is_documented(
    method: str, headers: dict[str, str], body: bytes, *, allowed: bool, status: int
) -> None:
    functions = Functions(allowed=allowed)
    pool = FunctionPool({"authorizer": functions.authorizer, "cabinets": functions.cabinets})
    client = Client(Gateway(DOCUMENT, pool, port=0).app)
    answer = client.open("/v1/cabinets", method=method, headers=headers, data=body)
    pool.close()
    assert answer.status_code == status
    check_answer(method, "/v1/cabinets", status, dict(answer.headers), answer.data)


# --- The dialect of OpenAPI 3.0 -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "converted"),
    [
        ({"const": 1, "type": "integer"}, {"enum": [1], "type": "integer"}),
        ({"examples": ["a", "b"]}, {"example": "a"}),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
        ({"exclusiveMaximum": 9}, {"maximum": 9, "exclusiveMaximum": True}),
        ({"prefixItems": [{"const": 1}]}, {"items": {"anyOf": [{"enum": [1]}]}}),
        (
            {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            {"type": "integer", "nullable": True},
        ),
        (
            {"anyOf": [{"enum": ["a"], "type": "string"}, {"type": "null"}]},
            {"enum": ["a", None], "type": "string", "nullable": True},
        ),
        (
            {"anyOf": [{"$ref": "#/a"}, {"type": "null"}]},
            {"anyOf": [{"$ref": "#/a"}, {"nullable": True, "enum": [None]}]},
        ),
        ({"properties": {"const": {"const": 1}}}, {"properties": {"const": {"enum": [1]}}}),
        ({"default": {"const": 1}}, {"default": {"const": 1}}),
    ],
)
def test_json_schema_is_put_into_openapi_3_0(schema: Any, converted: Any) -> None:
    assert in_openapi(schema) == converted


def test_null_is_taken_exactly_where_the_model_takes_it() -> None:
    place = DOCUMENT["components"]["schemas"]["Accumulator"]["properties"]["place"]
    assert faults(place, None) == []
    assert faults(place, {"contractor_id": "T-7"}) == []
    assert faults(place, {"contractor_id": None})
