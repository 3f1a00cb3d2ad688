"""docs/openapi.json says what the code does, in valid OpenAPI 3.0, fit to be deployed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from openapi_spec_validator import OpenAPIV30SpecValidator
from werkzeug.test import Client

from local import documents, openapi
from local.functions import FunctionPool
from local.gateway import Gateway
from local.schemas import in_openapi
from shared import api, errors
from shared.api.problems import problem, status_of
from shared.errors import ServiceError
from tests import new_command
from tests.openapi_check import Undocumented, check_answer

DOCUMENT: dict[str, Any] = openapi.document()
ROUTES = sorted(
    (route for route in api.routes() if route.module.startswith("functions.")),
    key=lambda route: route.operation_id,
)
JSON = {"X-Request-Id": "r-1", "Content-Type": "application/json"}
PROBLEM = {"X-Request-Id": "r-1", "Content-Type": "application/problem+json"}


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for step in steps:
            node = node[step]
    return node


def operation(route: api.Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][route.path][route.method.lower()]
    return found


def codes(response: dict[str, Any]) -> set[str]:
    schema = resolve(response)["content"]["application/problem+json"]["schema"]
    return {
        resolve(choice)["properties"]["code"]["enum"][0] for choice in schema.get("oneOf", [schema])
    }


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


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    validator = OAS30Validator(whole, format_checker=oas30_format_checker)
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]


def leaves(root: type[ServiceError]) -> list[type[ServiceError]]:
    """The errors that are raised: those of the tree that have none below them."""
    below = [cls for cls in root.__subclasses__() if cls.__module__ == errors.__name__]
    return [leaf for cls in below for leaf in leaves(cls)] or [root]


# --- The document and the code ----------------------------------------------------------------


def test_the_committed_documents_are_what_the_code_says() -> None:
    assert documents.check(documents.DIRECTORY) == [], "run: make documents"


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


# --- Deployment -------------------------------------------------------------------------------


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


# --- The dialect of OpenAPI 3.0 ---------------------------------------------------------------


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


# --- python -m local documents ----------------------------------------------------------------


def test_documents_are_written_and_then_current(tmp_path: Path) -> None:
    assert documents.check(tmp_path) == ["openapi.json", "asyncapi.json"]
    assert documents.main([], tmp_path) == 0
    assert documents.check(tmp_path) == []
    assert documents.main(["--check"], tmp_path) == 0


def test_the_check_names_what_is_out_of_date_and_how_to_mend_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents.write(tmp_path)
    (tmp_path / "openapi.json").write_text("{}")
    assert documents.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().out
    assert "openapi.json" in told
    assert "make documents" in told
    assert "asyncapi.json" not in told
