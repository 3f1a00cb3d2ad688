"""Requests that every route takes, to be spoiled, and the service that refuses them then."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from local import examples
from local.postgres import Postgres
from shared.api import Route
from tests.cloud import Context
from tests.database import cloned
from tests.integration.test_authorization import ROUTES
from tests.service import Answer, Service, running

WITH_BODY = {
    route.operation_id: route
    for route in ROUTES.values()
    if route.operation_id in examples.REQUESTS
}

GOOD = {
    "cabinet_id": "C-1",
    "cell_number": "1",
    "accumulator_id": "C-1.A-1",
    "booking_id": "00000000-0000-4000-8000-000000000000",
    "command_id": "00000000-0000-4000-8000-000000000000",
}


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


@contextmanager
def refusing(postgres: Postgres, template: str) -> Iterator[Service]:
    """The service with a cabinet and a database of its own: what is refused changes nothing."""
    with (
        cloned(postgres, template) as url,
        pytest.MonkeyPatch.context() as patch,
        running(url, patch) as service,
    ):
        service.add_cabinet(charges=[98])
        yield service
