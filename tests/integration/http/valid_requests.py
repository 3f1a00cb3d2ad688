"""Valid requests to every route, which tests make invalid."""

import importlib
from typing import Any
from urllib.parse import quote

from local import examples
from shared.api import Route
from tests.support.cloud import Context
from tests.support.routes import ROUTES
from tests.support.service import Response, Service

WITH_BODY = {
    route.operation_id: route
    for route in ROUTES.values()
    if route.operation_id in examples.REQUESTS
}

VALID_IDS = {
    "cabinet_id": "C-1",
    "cell_number": "1",
    "accumulator_id": "C-1.A-1",
    "booking_id": "00000000-0000-4000-8000-000000000000",
    "command_id": "00000000-0000-4000-8000-000000000000",
    "anomaly_id": "999",
    "contractor_id": "T-9",
    "webhook_id": "00000000-0000-4000-8000-000000000000",
}


def valid_body(route: Route) -> dict[str, Any]:
    bodies = examples.REQUESTS[route.operation_id]
    return dict(next(iter(bodies.values())))


def path_of(route: Route, **given: str) -> str:
    return route.path.format(**{n: quote(v, safe="") for n, v in (VALID_IDS | given).items()})


def post_raw(service: Service, route: Route, raw: bytes) -> Response:
    return service.call(route.method, path_of(route), raw=raw, key="operator")


def fields(response: Response) -> list[str]:
    """Return the fields that a 400 response names."""
    assert response.status == 400, response
    assert response.body["code"] == "invalid_request"
    assert response.body["errors"]
    assert all(fault["message"] for fault in response.body["errors"])
    return [fault["field"] for fault in response.body["errors"]]


def api_event(route: Route, body: Any, **more: Any) -> dict[str, Any]:
    return {
        "httpMethod": route.method,
        "resource": route.path,
        "path": path_of(route),
        "pathParameters": VALID_IDS,
        "requestContext": {"authorizer": {"name": "operator", "scope": "operator"}},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def invoke(route: Route, event: dict[str, Any]) -> Any:
    return importlib.import_module(route.module).handler(event, Context())
