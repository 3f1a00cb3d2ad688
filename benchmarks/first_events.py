"""A first event for each function, in the cloud's format; every call returns a new one."""

import base64
import json
from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import uuid4

from benchmarks.local_cloud import LocalCloud
from shared.triggers import TIMER

Event = dict[str, Any]


def events(cloud: LocalCloud) -> dict[str, Callable[[], Event]]:
    """Event factories by function, in the order of the table."""
    numbers = count(1)
    cabinet = cloud.cabinets[0]

    def book() -> Event:
        number = next(numbers)
        body = {
            "cabinet_id": cloud.cabinets[number % len(cloud.cabinets)].device_id,
            "contractor_id": f"T-{number}",
            "kind": "issue",
            "count": 1,
        }
        return _http("POST", "/v1/bookings", body=body)

    def unlock() -> Event:
        answer = cloud.backend.post("/v1/bookings", json.loads(book()["body"]))
        path = "/v1/bookings/{booking_id}/unlock"
        return _http("POST", path, booking_id=answer["booking_id"])

    def swap() -> Event:
        number = next(numbers)
        body = {
            "scooter_id": f"S-{number}",
            "contractor_id": f"T-{number}",
            "installed_accumulator_id": cabinet.accumulators[0].accumulator_id,
            "reconcile": True,
        }
        return _http("POST", "/v1/swaps", body=body)

    def report() -> Event:
        payload = json.dumps(cabinet.hardware.state_report()).encode()
        return _message(cabinet.device_id, payload)

    return {
        "booking": book,
        "unlock": unlock,
        "swap": swap,
        "cabinets": lambda: _http("GET", "/v1/cabinets"),
        "accumulators": lambda: _http("GET", "/v1/accumulators"),
        "events": lambda: _http("GET", "/v1/events"),
        "authorizer": lambda: {"headers": {"Authorization": "Bearer of nobody"}},
        "poll_cabinets": lambda: {"messages": [{"event_metadata": {"event_type": TIMER}}]},
        "mqtt_trigger": report,
        "migrate": dict,
    }


def _http(method: str, resource: str, *, body: Any = None, **path: str) -> Event:
    """An event in API Gateway's payload format 1.0."""
    return {
        "httpMethod": method,
        "resource": resource,
        "path": resource.format(**path),
        "pathParameters": path,
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps(body) if body else "",
        "isBase64Encoded": False,
        "requestContext": {
            "requestId": str(uuid4()),
            "authorizer": {"name": "benchmark", "scope": "operator"},
        },
    }


def _message(device_id: str, payload: bytes) -> Event:
    """An event of the IoT trigger with one message."""
    metadata = {"event_id": str(uuid4())}
    details = {"device_id": device_id, "payload": base64.b64encode(payload).decode()}
    return {"messages": [{"event_metadata": metadata, "details": details}]}
