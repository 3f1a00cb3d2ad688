"""The gateway's rate limits in the OpenAPI document: ceilings for all callers together.

They leave the rest of the service its share of a zone's concurrent calls, whatever is asked of the
limited operations. Operations that an unlock needs have none: with a ceiling, a flood by one caller
would refuse the unlocks of all others. Terraform's variable `gateway_limits` replaces the numbers.
"""

from typing import Any

from shared import api

EXTENSION = "x-yc-apigateway-rate-limit"
CEILINGS = {"health": 10, "lists": 100, "reports": 30}
"""Requests per second, of each operation, by class."""
_REPORT_COST = 5
"""From this cost on, an operation is a report."""


def components() -> dict[str, Any]:
    """Return the document's component of this extension."""
    return {f"{EXTENSION}s": {name: {"allRequests": {"rps": n}} for name, n in CEILINGS.items()}}


def of_route(route: api.Route | None) -> dict[str, Any]:
    """Return the extension of an operation; empty if it has no ceiling."""
    if route is None or (route.scope is not None and not route.cost):
        return {}
    return {EXTENSION: {"$ref": f"#/components/{EXTENSION}s/{_class_of(route)}"}}


def _class_of(route: api.Route) -> str:
    if route.scope is None:
        return "health"
    return "reports" if route.cost >= _REPORT_COST else "lists"
