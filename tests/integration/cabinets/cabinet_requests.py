"""Registering and listing cabinets over HTTP."""

from typing import Any

from tests.support.service import Service

MOSCOW = {"lat": 55.7558, "lon": 37.6173}


def register(service: Service, cabinet_id: str, **more: Any) -> Any:
    body = {"cabinet_id": cabinet_id, "coords": MOSCOW, "cells_total": 2}
    return service.post("/v1/cabinets", body | more)


def ids(service: Service, query: str = "") -> list[str]:
    return [found["cabinet_id"] for found in service.get(f"/v1/cabinets{query}")["cabinets"]]
