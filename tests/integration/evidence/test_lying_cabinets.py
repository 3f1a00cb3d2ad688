"""A cabinet that lies takes few accumulators of others; a person decides about the rest."""

from local.cabinet.hardware import Accumulator
from tests.support.service import Service

MOST = 12
"""SUSPECT_CLAIMS_PER_HOUR by default."""


def stock(service: Service, *, cabinets: int = 10, cells: int = 50) -> list[str]:
    """Fill honest cabinets H-1, H-2, … with registered accumulators; return their ids."""
    ids = [f"A-{n}" for n in range(cabinets * cells)]
    service.post("/v1/imports", {"accumulators": [{"accumulator_id": id_} for id_ in ids]})
    for number in range(cabinets):
        hardware = service.connect(f"H-{number + 1}", cells)
        for cell, id_ in zip(hardware.cells.values(), ids[number * cells :], strict=False):
            cell.accumulator = Accumulator(id_, 95)
        service.report(hardware.cabinet_id)
    return ids


def claim(service: Service, ids: list[str], cabinet_id: str = "L-1") -> None:
    """Let a cabinet report these accumulators in its first cells, and the other cells empty."""
    hardware = service.cabinets[cabinet_id]
    for cell in hardware.cells.values():
        cell.accumulator = None
    for cell, id_ in zip(hardware.cells.values(), ids, strict=False):
        cell.accumulator = Accumulator(id_, 95)
    service.report(cabinet_id)


def taken(service: Service) -> int:
    """Return how many accumulators are out of issue or not in an honest cabinet any more."""
    [row] = service.sql(
        """SELECT count(*) AS n FROM accumulators
            WHERE status <> 'in_service' OR cabinet_id IS NULL OR cabinet_id NOT LIKE 'H-%%'"""
    )
    count: int = row["n"]
    return count


def test_one_report_of_the_whole_fleet_takes_few_accumulators(service: Service) -> None:
    ids = stock(service)
    service.connect("L-1", 500)
    claim(service, ids)
    assert taken(service) == MOST
    service.check_invariants()


def test_reports_of_one_accumulator_after_another_take_few(service: Service) -> None:
    ids = stock(service)
    service.connect("L-1", 12)
    for start in range(0, 500, 12):
        claim(service, ids[start : start + 12])
    assert taken(service) == MOST
    service.check_invariants()
