"""Sending imports over HTTP, and a copy of everything that they can change."""

from typing import Any

from tests.support.service import Response, Service

MOSCOW = {"lat": 55.7558, "lon": 37.6173}


def cabinet(cabinet_id: str = "C-1", **more: Any) -> dict[str, Any]:
    return {"cabinet_id": cabinet_id, "coords": MOSCOW, "cells_total": 2} | more


def accumulator(accumulator_id: str = "A-1", **more: Any) -> dict[str, Any]:
    return {"accumulator_id": accumulator_id} | more


def request_import(service: Service, **body: Any) -> Response:
    return service.call("POST", "/v1/imports", body, key="operator")


def import_items(service: Service, *items: Any, dry_run: bool = False) -> Any:
    """Import cabinets and accumulators, told apart by their ids; return the body of the 200."""
    body = {
        "cabinets": [item for item in items if "cabinet_id" in item],
        "accumulators": [item for item in items if "cabinet_id" not in item],
        "dry_run": dry_run,
    }
    response = request_import(service, **body)
    assert response.status == 200, response
    return response.body


def outcomes(service: Service, *items: Any, dry_run: bool = False) -> list[str]:
    """Import; return each item's result, or the code of its failure."""
    results = import_items(service, *items, dry_run=dry_run)["results"]
    return [one["code"] or one["result"] for one in results]


def ledger(service: Service, accumulator_id: str = "A-1") -> list[tuple[str, str | None]]:
    """Return cause and reason of an accumulator's movements, oldest first."""
    found = service.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
    return [(one["cause"], one["reason"]) for one in reversed(found)]


def contents(service: Service) -> Any:
    """Return all rows that an import can change."""
    return {
        table: service.sql(f"SELECT * FROM {table} t ORDER BY t::text")  # noqa: S608 - names are ours
        for table in ("cabinets", "cells", "boots", "accumulators", "movements")
    }
