"""Accumulators in cells, reports and bags, as tests of edge cases put and count them."""

from typing import Any

from tests.service import Message, Service

IN_CELL_1 = {"cabinet_id": "C-1", "cell_number": 1}


def stock(service: Service) -> tuple[int, int]:
    """How many accumulators C-1 can issue, and how many free cells it has."""
    cabinet = service.get("/v1/cabinets/C-1")
    return cabinet["accumulators"]["available"], cabinet["free_cells"]


def state_report(service: Service, *cells: Message, cabinet_id: str = "C-1") -> None:
    """The cabinet reports these cells in place of what it knows of them."""
    report = service.cabinets[cabinet_id].state_report()
    changed = {cell["cell_number"]: cell for cell in cells}
    told = [changed.get(cell["cell_number"], cell) for cell in report["cells"]]
    service.say(cabinet_id, {**report, "cells": told})


def cell(number: int, accumulator_id: str | None, **more: Any) -> Message:
    return {"cell_number": number, "door": "closed", "accumulator_id": accumulator_id, **more}


def carry(service: Service, *accumulator_ids: str, contractor_id: str = "T-1") -> None:
    """Put accumulators that the service knows into a contractor's bag."""
    for accumulator_id in accumulator_ids:
        body = {"accumulator_id": accumulator_id, "contractor_id": contractor_id}
        service.post("/v1/accumulators", body)


def ledger(service: Service) -> int:
    rows: int = service.sql("SELECT count(*) AS n FROM movements")[0]["n"]
    return rows
