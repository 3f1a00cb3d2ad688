"""Put accumulators into cells, cabinet reports and contractors' bags, and count them."""

from typing import Any

from tests.support.service import Message, Service

IN_CELL_1 = {"cabinet_id": "C-1", "cell_number": 1}


def available_and_free(service: Service) -> tuple[int, int]:
    """Return how many accumulators C-1 can issue, and how many free cells it has."""
    cabinet = service.get("/v1/cabinets/C-1")
    return cabinet["accumulators"]["available"], cabinet["free_cells"]


def report_cells(service: Service, *cells: Message, cabinet_id: str = "C-1") -> None:
    """Send the cabinet's state report with these cells in place of the real ones."""
    report = service.cabinets[cabinet_id].state_report()
    changed = {cell["cell_number"]: cell for cell in cells}
    reported = [changed.get(cell["cell_number"], cell) for cell in report["cells"]]
    service.send_from(cabinet_id, {**report, "cells": reported})


def cell_state(number: int, accumulator_id: str | None, **more: Any) -> Message:
    return {"cell_number": number, "door": "closed", "accumulator_id": accumulator_id, **more}


def put_in_bag(service: Service, *accumulator_ids: str, contractor_id: str = "T-1") -> None:
    """Register accumulators in a contractor's bag."""
    for accumulator_id in accumulator_ids:
        body = {"accumulator_id": accumulator_id, "contractor_id": contractor_id}
        service.post("/v1/accumulators", body)


def count_movements(service: Service) -> int:
    count: int = service.sql("SELECT count(*) AS n FROM movements")[0]["n"]
    return count
