"""A small OpenAPI document, and two functions behind it."""

from typing import Any

from werkzeug.test import TestResponse

from local.functions import FunctionPool

INTEGRATION = {
    "type": "cloud_functions",
    "function_id": "${function_ids.cabinets}",
    "payload_format_version": "1.0",
    "context": {"from": "the document"},
}
CELL = "/v1/cabinets/{cabinet_id}/cells/{cell_number}"
TOO_MANY_BYTES = b" " * (2_621_440 + 1)


def operation(name: str, **more: Any) -> dict[str, Any]:
    return {"operationId": name, "x-yc-apigateway-integration": INTEGRATION, **more}


def document() -> dict[str, Any]:
    key: list[dict[str, list[str]]] = [{"api_key": []}]
    cabinet_id = {"in": "path", "name": "cabinet_id"}
    return {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": "https://example.com"}],
        "paths": {
            "/v1/health": {"get": operation("health"), "post": operation("post_health")},
            "/v1/secret": {"get": operation("secret", security=key)},
            CELL: {
                "parameters": [{"$ref": "#/components/parameters/cabinet_id"}],
                "patch": operation(
                    "patch_cell",
                    parameters=[
                        {"in": "path", "name": "cell_number"},
                        {"in": "query", "name": "tag"},
                        {"in": "query", "name": "absent"},
                        {"in": "header", "name": "Idempotency-Key"},
                    ],
                ),
            },
            "/v1/cabinets/{cabinet_id}": {"get": operation("get_cabinet")},
            "/v1/cabinets/all": {"get": operation("get_all")},
            "/v1/any/{name}": {
                "get": operation("get_any"),
                "x-yc-apigateway-any-method": {"x-yc-apigateway-integration": INTEGRATION},
            },
            "/v1/files/{file+}": {"get": operation("get_file")},
        },
        "components": {
            "parameters": {"cabinet_id": cabinet_id},
            "securitySchemes": {
                "api_key": {
                    "type": "http",
                    "scheme": "bearer",
                    "x-yc-apigateway-authorizer": {
                        "type": "function",
                        "function_id": "${function_ids.authorizer}",
                    },
                }
            },
        },
    }


class Functions:
    """Two functions that return `result` and `verdict`, and record their events."""

    def __init__(self) -> None:
        self.result: Any = {"statusCode": 200, "body": "ok"}
        self.verdict: Any = {"isAuthorized": True, "context": {"name": "ops"}}
        self.event: dict[str, Any] = {}
        self.authorizer_event: dict[str, Any] = {}

    def cabinets(self, event: Any, _: Any) -> Any:
        self.event = event
        return self.result() if callable(self.result) else self.result

    def authorizer(self, event: Any, _: Any) -> Any:
        self.authorizer_event = event
        return self.verdict() if callable(self.verdict) else self.verdict

    def pool(self) -> FunctionPool:
        return FunctionPool({"cabinets": self.cabinets, "authorizer": self.authorizer})


def fail() -> None:
    raise LookupError("no such cell")


def assert_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json or {}
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    assert problem["type"] == f"urn:scooter-accumulator:{code}"
    assert (problem["code"], problem["status"]) == (code, status)
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-Id"]
    return problem
