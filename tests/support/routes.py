"""Every route of the HTTP API, with a valid request for each."""

import importlib
from pathlib import Path
from typing import Any

import functions
from local import examples
from shared.api import Route, routes
from tests.support.service import Response, Service

for folder in Path(functions.__path__[0]).iterdir():
    if (folder / "main.py").exists():
        importlib.import_module(f"functions.{folder.name}.main")

ROUTES = {f"{route.method} {route.path}": route for route in routes()}
PROTECTED_ROUTES = {name: route for name, route in ROUTES.items() if route.scope is not None}

UNKNOWN_IDS = {
    "cabinet_id": "C-9",
    "cell_number": 1,
    "accumulator_id": "A-9",
    "booking_id": "00000000-0000-4000-8000-000000000000",
    "command_id": "00000000-0000-4000-8000-000000000000",
    "anomaly_id": 999,
    "contractor_id": "T-9",
    "webhook_id": "00000000-0000-4000-8000-000000000000",
}

NEEDED_QUERIES = {"find_ids": "q=C-1"}
"""Queries without which a request is refused."""


def send_example(service: Service, route: Route, key: str | None) -> Response:
    """Send the route's first documented example, with ids that do not exist."""
    bodies: dict[str, Any] = examples.REQUESTS.get(route.operation_id, {"none": None})
    query = NEEDED_QUERIES.get(route.operation_id)
    path = route.path.format(**UNKNOWN_IDS) + (f"?{query}" if query else "")
    return service.call(route.method, path, next(iter(bodies.values())), key=key)
