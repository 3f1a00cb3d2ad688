"""docs/openapi.json: valid OpenAPI 3.0 that describes the code and can be deployed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator
from pydantic import ValidationError
from werkzeug.test import Client

from local import documents, openapi
from local.functions import FunctionPool
from local.gateway import Gateway, Routes
from local.gateway.operations import ANY_METHOD
from local.schemas import in_openapi
from shared import api, errors
from shared.api.problems import status_of
from shared.errors import ServiceError
from shared.models.accumulators import AccumulatorChange, AccumulatorRequest
from shared.models.base import Request
from shared.models.bookings import BookingRequest
from shared.models.cabinets import CabinetChange, CabinetQuery, CabinetRequest
from shared.models.swaps import SwapRequest
from shared.models.transfers import TransferRequest
from shared.protocols import codecs
from tests.support.openapi_check import check_response
from tests.unit.docs import new_command
from tests.unit.docs.openapi_document import DOCUMENT, ROUTES, faults, operation, resolve

COORDS = {"lat": 55.7558, "lon": 37.6173}
SWAP = {"scooter_id": "S-1", "contractor_id": "T-1"}
TRANSFER = {"from_contractor_id": "T-1", "to_contractor_id": "T-2"}
BOOKING = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
REQUESTS: dict[str, tuple[type[Request], dict[str, Any]]] = {
    "AccumulatorRequest": (AccumulatorRequest, {"accumulator_id": "A-1"}),
    "AccumulatorChange": (AccumulatorChange, {"reason": "found"}),
    "BookingRequest": (BookingRequest, BOOKING),
    "CabinetChange": (CabinetChange, {}),
    "CabinetRequest": (CabinetRequest, {"cabinet_id": "C-1", "coords": COORDS, "cells_total": 1}),
    "SwapRequest": (SwapRequest, SWAP),
    "TransferRequest": (TransferRequest, TRANSFER),
}
"""Requests with rules that concern several fields, and the fields that each must have."""


def codes(response: dict[str, Any]) -> set[str]:
    schema = resolve(response)["content"]["application/problem+json"]["schema"]
    return {
        resolve(choice)["properties"]["code"]["enum"][0] for choice in schema.get("oneOf", [schema])
    }


def leaves(root: type[ServiceError]) -> list[type[ServiceError]]:
    """Return the errors that are raised: the leaves of the error tree."""
    below = [cls for cls in root.__subclasses__() if cls.__module__ == errors.__name__]
    return [leaf for cls in below for leaf in leaves(cls)] or [root]


# --- The document and the code --------------------------------------------------------------------


def test_the_document_is_valid_openapi() -> None:
    assert [str(error) for error in OpenAPIV30SpecValidator(DOCUMENT).iter_errors()] == []


def test_the_document_is_deterministic() -> None:
    assert json.dumps(openapi.document()) == json.dumps(DOCUMENT)


def test_the_document_has_exactly_the_routes_of_the_functions() -> None:
    described = {
        (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method != ANY_METHOD
    }
    assert described == {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_a_route_is_described_with_every_error_it_raises(route: api.Route) -> None:
    responses = operation(route)["responses"]
    for error in route.raises:
        assert error.code() in codes(responses[str(status_of(error))])


@pytest.mark.parametrize("error", leaves(ServiceError))
def test_every_error_is_described(error: type[ServiceError]) -> None:
    if error in {errors.RouteNotFound, errors.MethodNotAllowed}:  # belongs to no operation
        assert f"`{error.code()}`" in DOCUMENT["info"]["description"]
        return
    status = str(status_of(error))
    found = [operation(route)["responses"].get(status) for route in ROUTES]
    described = set().union(
        *(codes(one) for one in found if one and error.code() in str(resolve(one)))
    )
    assert error.code() in described


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_a_route_is_described_with_a_key_if_and_only_if_it_has_a_scope(route: api.Route) -> None:
    described = operation(route)
    assert bool(described["security"]) == (route.scope is not None)
    assert ({"401", "403"} <= described["responses"].keys()) == (route.scope is not None)
    if route.scope is not None:
        assert f"`{route.scope}`" in described["description"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_an_idempotency_key_is_described_for_every_post(route: api.Route) -> None:
    headers = [resolve(p)["name"] for p in operation(route)["parameters"]]
    assert ("Idempotency-Key" in headers) == (route.method == "POST")


def test_query_parameters_are_described_with_their_limits_and_defaults() -> None:
    parameters = DOCUMENT["paths"]["/v1/cabinets"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert by_name["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 200,
        "default": 50,
    }
    assert by_name["near"]["schema"].keys() == {"type", "pattern"}
    assert by_name["near"]["example"] == "55.7558,37.6173"
    assert not by_name["near"]["required"]


def test_the_schema_of_a_body_rejects_unknown_fields() -> None:
    schema = DOCUMENT["components"]["schemas"]["BookingRequest"]
    body = {"cabinet_id": "C-1", "contractor_id": "T-7", "kind": "issue", "count": 1}
    assert faults(schema, body) == []
    assert faults(schema, body | {"colour": "red"})


@pytest.mark.parametrize(
    ("name", "body", "accepted"),
    [
        ("AccumulatorRequest", {"contractor_id": "T-1", "scooter_id": "S-1"}, False),
        ("AccumulatorRequest", {"contractor_id": "T-1", "scooter_id": None}, True),
        ("AccumulatorChange", {}, False),
        ("AccumulatorChange", {"battery_charge": None}, True),
        ("AccumulatorChange", {"status": "retired"}, False),
        ("BookingRequest", {"kind": "return", "min_charge": 80}, False),
        ("BookingRequest", {"kind": "return", "min_charge": None}, True),
        ("BookingRequest", {"min_charge": 80}, True),
        ("CabinetChange", {}, False),
        ("CabinetChange", {"address": None}, True),
        ("CabinetChange", {"cells_total": 0}, False),
        ("CabinetChange", {"cells_total": 1001}, False),
        ("CabinetChange", {"cells_total": 12}, True),
        ("CabinetChange", {"device_id": "service"}, False),
        ("CabinetChange", {"device_id": "C:1"}, False),
        ("CabinetChange", {"device_id": None}, True),
        ("CabinetChange", {"device_id": "C-2", "protocol": "native.v1"}, True),
        ("CabinetChange", {"protocol": None}, True),
        ("CabinetRequest", {"cabinet_id": "C:1"}, False),
        ("CabinetRequest", {"cabinet_id": "C:1", "device_id": None}, False),
        ("CabinetRequest", {"cabinet_id": "C:1", "device_id": "C-1"}, True),
        ("CabinetRequest", {"cabinet_id": "service"}, False),
        ("CabinetRequest", {"device_id": "bridge"}, False),
        ("CabinetRequest", {"device_id": "C:1"}, False),
        ("SwapRequest", {}, False),
        ("SwapRequest", {"installed_accumulator_id": None}, False),
        ("SwapRequest", {"installed_accumulator_id": None, "removed_accumulator_id": None}, False),
        ("SwapRequest", {"installed_accumulator_id": "A-1"}, True),
        ("SwapRequest", {"removed_accumulator_id": "A-2"}, True),
        ("SwapRequest", {"installed_accumulator_id": None, "removed_accumulator_id": "A-2"}, True),
        ("SwapRequest", {"removed_battery_charge": 7}, False),
        ("SwapRequest", {"installed_accumulator_id": "A-1", "removed_battery_charge": 7}, False),
        ("SwapRequest", {"removed_accumulator_id": None, "removed_battery_charge": 7}, False),
        ("SwapRequest", {"removed_accumulator_id": "A-2", "removed_battery_charge": 7}, True),
        ("SwapRequest", {"installed_accumulator_id": "A-1", "removed_battery_charge": None}, True),
        ("TransferRequest", {}, False),
        ("TransferRequest", {"accumulator_ids": []}, False),
        ("TransferRequest", {"accumulator_ids": ["A-1", "A-1"]}, False),
        ("TransferRequest", {"accumulator_ids": [f"A-{n}" for n in range(50)]}, True),
        ("TransferRequest", {"accumulator_ids": [f"A-{n}" for n in range(51)]}, False),
        ("TransferRequest", {"accumulator_ids": "A-1"}, False),
    ],
    ids=repr,
)
def test_a_schema_refuses_what_the_service_refuses(
    name: str, body: dict[str, Any], *, accepted: bool
) -> None:
    model, required = REQUESTS[name]
    whole = json.dumps(required | body)
    schema = DOCUMENT["components"]["schemas"][name]
    assert (faults(schema, json.loads(whole)) == []) == accepted
    try:
        model.model_validate_json(whole, strict=True)
    except ValidationError:
        assert not accepted
    else:
        assert accepted


def test_the_schema_of_a_cabinet_names_the_protocols() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["CabinetRequest"]["properties"]["protocol"]["enum"] == sorted(codecs())
    change = schemas["CabinetChange"]["properties"]["protocol"]
    assert [choice["enum"] for choice in change["anyOf"]] == [sorted(codecs()), [None]]


@pytest.mark.parametrize(
    ("near", "accepted"),
    [
        ("55.7558,37.6173", True),
        ("-90, -180.000", True),
        ("90,180", True),
        ("0.5,-0", True),
        ("90.1,0", False),
        ("0,180.5", False),
        ("0,200", False),
        ("55.7", False),
        ("1e1,1", False),
        ("nan,1", False),
        ("1,1\n", False),
    ],
)
def test_the_pattern_of_near_is_what_the_service_accepts(near: str, *, accepted: bool) -> None:
    [schema] = [
        parameter["schema"]
        for parameter in DOCUMENT["paths"]["/v1/cabinets"]["get"]["parameters"]
        if parameter["name"] == "near"
    ]
    assert bool(re.search(schema["pattern"].replace("$", r"\Z"), near)) == accepted
    try:
        CabinetQuery.model_validate({"near": near})
    except ValidationError:
        assert not accepted
    else:
        assert accepted


def test_only_code_and_status_of_a_problem_are_constants() -> None:
    fields = DOCUMENT["components"]["schemas"]["BookingNotActive"]["properties"]
    assert {name for name, field in fields.items() if "enum" in field} == {"code", "status"}
    assert fields["title"] == {"type": "string", "example": errors.BookingNotActive.title()}


def test_a_new_command_file_is_included_in_the_document(tmp_path: Path) -> None:
    found = new_command.generated_documents(tmp_path)["openapi.json"]
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


def test_the_document_is_a_terraform_template_with_known_variables() -> None:
    text = (documents.DIRECTORY / "openapi.json").read_text(encoding="utf-8")
    folders = {path.parent.name for path in documents.DIRECTORY.parent.glob("functions/*/main.py")}
    allowed = {f"function_ids.{name}" for name in folders} | {"service_account_id"}
    used = set(re.findall(r"\$\{(.*?)\}", text))
    assert {"service_account_id", "function_ids.authorizer"} < used <= allowed
    assert text.count("${") == len(re.findall(r'"\$\{[\w.]+\}"', text))
    assert "%{" not in text


def test_every_operation_calls_its_function_in_payload_format_1_0() -> None:
    for route in ROUTES:
        folder = route.module.split(".")[1]
        assert operation(route)["x-yc-apigateway-integration"] == {
            "type": "cloud_functions",
            "function_id": f"${{function_ids.{folder}}}",
            "tag": "$latest",
            "payload_format_version": "1.0",
            "service_account_id": "${service_account_id}",
        }


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_other_methods_of_a_path_go_to_the_function_of_its_routes(path: str) -> None:
    of_path = [route for route in ROUTES if route.path == path]
    any_method = DOCUMENT["paths"][path][ANY_METHOD]
    for route in of_path:
        described = operation(route)
        assert any_method["x-yc-apigateway-integration"] == described["x-yc-apigateway-integration"]
        assert any_method.get("security") == described.get("security")
    allow = ", ".join(sorted(api.by_method(of_path)))
    assert f"Allow: {allow}." in any_method["responses"]["405"]["description"]


class Functions:
    """An authorizer that allows or denies, and a function that fails."""

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
        ("PUT", {}, b"", True, 401),
        ("POST", {"Authorization": "Bearer key"}, b" " * 2_621_441, True, 413),
        ("GET", {"Authorization": "Bearer key"}, b"", True, 502),
    ],
)
def test_the_gateways_own_responses_are_documented(
    method: str, headers: dict[str, str], body: bytes, *, allowed: bool, status: int
) -> None:
    functions = Functions(allowed=allowed)
    pool = FunctionPool({"authorizer": functions.authorizer, "cabinets": functions.cabinets})
    client = Client(Gateway(Routes(DOCUMENT), pool, port=0).app)
    response = client.open("/v1/cabinets", method=method, headers=headers, data=body)
    pool.close()
    assert response.status_code == status
    check_response(method, "/v1/cabinets", status, dict(response.headers), response.data)


# --- Conversion to OpenAPI 3.0 --------------------------------------------------------------------


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
            {"anyOf": [{"enum": ["a"], "type": "string"}, {"enum": [None]}]},
        ),
        (
            {"anyOf": [{"$ref": "#/a"}, {"type": "null"}]},
            {"anyOf": [{"$ref": "#/a"}, {"enum": [None]}]},
        ),
        ({"properties": {"const": {"const": 1}}}, {"properties": {"const": {"enum": [1]}}}),
        ({"default": {"const": 1}}, {"default": {"const": 1}}),
    ],
)
def test_json_schema_is_converted_to_openapi_3_0(schema: Any, converted: Any) -> None:
    assert in_openapi(schema) == converted


def test_the_schema_accepts_null_exactly_where_the_model_does() -> None:
    place = DOCUMENT["components"]["schemas"]["Accumulator"]["properties"]["place"]
    assert faults(place, None) == []
    assert faults(place, {"contractor_id": "T-7"}) == []
    assert faults(place, {"contractor_id": None})
