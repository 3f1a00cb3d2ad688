"""HTTP requests, passed to the real handlers in the form that the API gateway uses."""

import importlib
import json
from dataclasses import dataclass
from typing import Any

from tests.support.cloud import Context

Body = dict[str, Any]
IMPORTS = "/v1/imports"
BACKEND, OPERATOR = "backend", "operator"
"""The names of the keys: one books and reports, the other registers, corrects and commands."""
_OF_BACKEND = ("/v1/bookings", "/v1/swaps", "/v1/transfers")


@dataclass(frozen=True)
class Request:
    """An HTTP request; running the same one again is a retry."""

    function: str
    method: str
    resource: str
    parameters: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    key: str | None = None
    prefer: str | None = None
    """The header Prefer."""
    report: int | None = None
    """What the request reports, as an index into `Memory.reports`."""

    @property
    def path(self) -> str:
        """The resource with its parameters filled in."""
        return self.resource.format_map(dict(self.parameters))

    @property
    def caller(self) -> str:
        """The name of the key that the request has."""
        return BACKEND if self.resource.startswith(_OF_BACKEND) else OPERATOR

    def __str__(self) -> str:
        body = " ".join(f"{v}" for v in json.loads(self.body or "{}").values())
        ids = " ".join(value for _, value in self.parameters)
        verb = self.resource.rsplit("/", 1)[-1] if self.method == "POST" else self.method
        key = f" by {self.key}" if self.key else ""
        prefers = f", prefers {self.prefer}" if self.prefer else ""
        return " ".join(f"{verb} {ids} {body}{key}{prefers}".split())

    def run(self) -> "Response":
        """Call the handler."""
        headers = {"Idempotency-Key": self.key, "Prefer": self.prefer}
        event = {
            "httpMethod": self.method,
            "resource": self.resource,
            "path": self.path,
            "headers": {name: value for name, value in headers.items() if value is not None},
            "queryStringParameters": {},
            "multiValueQueryStringParameters": {},
            "pathParameters": dict(self.parameters),
            "body": self.body,
            "isBase64Encoded": False,
            "operationId": self.resource,
            "requestContext": {
                "requestId": "simulated",
                "authorizer": {"name": self.caller, "scope": "operator"},
            },
        }
        handler = importlib.import_module(f"functions.{self.function}.main").handler
        response = handler(event, Context())
        replayed = "Idempotency-Replayed" in response["headers"]
        return Response(response["statusCode"], json.loads(response["body"] or "null"), replayed)


@dataclass(frozen=True)
class Response:
    """The response that the client receives."""

    status: int
    body: Any
    replayed: bool

    def __str__(self) -> str:
        code = self.body.get("code", "") if isinstance(self.body, dict) else ""
        status = self.body.get("status", "") if isinstance(self.body, dict) else ""
        again = "stored" if self.replayed else ""
        return " ".join(f"{self.status} {code or status} {again}".split())


def book(body: Body, key: str | None) -> Request:
    """Book accumulators or empty cells."""
    return Request("booking", "POST", "/v1/bookings", body=json.dumps(body), key=key)


def unlock(booking_id: str, key: str | None, prefer: str | None = None) -> Request:
    """Open the cells that a booking holds."""
    resource = "/v1/bookings/{booking_id}/unlock"
    parameters = (("booking_id", booking_id),)
    return Request("unlock", "POST", resource, parameters, key=key, prefer=prefer)


def cancel(booking_id: str) -> Request:
    """Cancel a booking."""
    resource = "/v1/bookings/{booking_id}"
    return Request("booking", "DELETE", resource, (("booking_id", booking_id),))


def swap(body: Body, key: str | None, number: int) -> Request:
    """Report a swap at a scooter."""
    return Request("swap", "POST", "/v1/swaps", body=json.dumps(body), key=key, report=number)


def transfer(body: Body, key: str | None, number: int) -> Request:
    """Report a transfer from one contractor to another."""
    return Request("swap", "POST", "/v1/transfers", body=json.dumps(body), key=key, report=number)


def command(cabinet_id: str, body: Body, key: str | None, prefer: str | None = None) -> Request:
    """Send an operator's command to a cabinet."""
    resource = "/v1/cabinets/{cabinet_id}/commands"
    parameters = (("cabinet_id", cabinet_id),)
    return Request("unlock", "POST", resource, parameters, json.dumps(body), key, prefer)


def change_cell(cabinet_id: str, cell_number: int, body: Body) -> Request:
    """Take a cell out of use, or put it back."""
    resource = "/v1/cabinets/{cabinet_id}/cells/{cell_number}"
    parameters = (("cabinet_id", cabinet_id), ("cell_number", str(cell_number)))
    return Request("cabinets", "PATCH", resource, parameters, json.dumps(body))


def change_cabinet(cabinet_id: str, body: Body) -> Request:
    """Take a cabinet out of service, or put it back."""
    parameters = (("cabinet_id", cabinet_id),)
    return Request("cabinets", "PATCH", "/v1/cabinets/{cabinet_id}", parameters, json.dumps(body))


def clear(cabinet_id: str) -> Request:
    """Clear a suspect cabinet."""
    return change_cabinet(cabinet_id, {"suspect": False, "suspect_reason": "looked at"})


def undo_claims(cabinet_id: str) -> Request:
    """Undo all that a cabinet has claimed."""
    body = json.dumps({"since": "2020-01-01T00:00:00Z", "reason": "it lies"})
    parameters = (("cabinet_id", cabinet_id),)
    return Request("cabinets", "POST", "/v1/cabinets/{cabinet_id}/undo", parameters, body)


def correct(accumulator_id: str, body: Body) -> Request:
    """Correct the place or status of an accumulator."""
    resource = "/v1/accumulators/{accumulator_id}"
    parameters = (("accumulator_id", accumulator_id),)
    return Request("accumulators", "PATCH", resource, parameters, json.dumps(body))


def retire(accumulator_id: str) -> Request:
    """Take an accumulator out of the system."""
    resource = "/v1/accumulators/{accumulator_id}"
    return Request("accumulators", "DELETE", resource, (("accumulator_id", accumulator_id),))


def register_cabinet(cabinet_id: str, cells: int) -> Request:
    """Register a cabinet."""
    body = json.dumps(cabinet(cabinet_id, cells))
    return Request("cabinets", "POST", "/v1/cabinets", body=body)


def cabinet(cabinet_id: str, cells: int) -> Body:
    """Return a cabinet to register or to import."""
    coords = {"lat": 55.75, "lon": 37.62}
    return {"cabinet_id": cabinet_id, "coords": coords, "cells_total": cells}


def import_fleet(body: Body) -> Request:
    """Take cabinets and accumulators into service."""
    return Request("cabinets", "POST", IMPORTS, body=json.dumps(body))


def remove_cabinet(cabinet_id: str) -> Request:
    """Remove a cabinet."""
    parameters = (("cabinet_id", cabinet_id),)
    return Request("cabinets", "DELETE", "/v1/cabinets/{cabinet_id}", parameters)


def register(body: Body) -> Request:
    """Register an accumulator."""
    return Request("accumulators", "POST", "/v1/accumulators", body=json.dumps(body))
