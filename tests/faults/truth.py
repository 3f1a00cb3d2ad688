"""Compare the records with the physical truth, after every cabinet has reported."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.faults.cloud import Cloud
from tests.faults.technicians import Technician

_PLACES = """
    SELECT accumulator_id, coalesce(cabinet_id || '/' || cell_number, contractor_id, scooter_id,
                                    'nowhere')
      FROM accumulators"""
_UNSETTLED = """
    SELECT command_id::text, status FROM commands
     WHERE booking_id IS NOT NULL AND status IN ('pending', 'published', 'no_answer', 'unresolved')
"""
_UNFINISHED = """
    SELECT booking_id::text, status, kind FROM bookings
     WHERE finished_at IS NULL AND status <> 'active' AND expires_at > now()"""
_OPENED = """
    SELECT c.cabinet_id || '/' || (r ->> 'cell_number'), count(*)::int
      FROM commands c CROSS JOIN jsonb_array_elements(c.result) r
     WHERE c.kind = 'unlock' AND r ->> 'result' = 'opened'
     GROUP BY 1"""
_ISSUED = """
    SELECT booking_id::text || ' ' || accumulator_id, count(*) FROM movements
     WHERE cause = 'issued' GROUP BY 1 HAVING count(*) > 1"""
_SWAPPED = """
    SELECT swap_id::text || ' ' || accumulator_id, count(*) FROM movements
     WHERE cause = 'swapped' GROUP BY 1 HAVING count(*) > 1"""
_ANOMALIES = """
    SELECT 'anomaly ' || reason, count(*)::int FROM anomalies GROUP BY 1
    UNION ALL
    SELECT 'discrepancy ' || cause, count(*)::int FROM movements WHERE discrepancy GROUP BY 1
    UNION ALL
    SELECT 'quarantined', count(*)::int FROM accumulators WHERE status <> 'in_service'
    HAVING count(*) > 0
     ORDER BY 1"""


def is_settled(cloud: Cloud) -> bool:
    """Whether every cabinet has just reported, and no command or booking is unsettled."""
    operator = cloud.api("operator")
    body = {"kind": "report_state", "reason": "is everything settled?"}
    reported = [
        operator.call("POST", f"/v1/cabinets/{one['cabinet_id']}/commands", body).status
        for one in cloud.control.cabinets()
    ]
    return set(reported) == {200} and not cloud.sql(_UNSETTLED) and not cloud.sql(_UNFINISHED)


def false_records(cloud: Cloud, technicians: Sequence[Technician]) -> list[str]:
    """Return each false record as a line."""
    audit = cloud.api("operator").get("/v1/stats")["audit"]
    return [
        *(f"audit: {one}" for one in audit["violations"]),
        *(f"unsettled: {row}" for row in cloud.sql(_UNSETTLED)),
        *(f"unfinished: {row}" for row in cloud.sql(_UNFINISHED)),
        *(f"issued twice: {row}" for row in cloud.sql(_ISSUED)),
        *(f"swapped twice: {row}" for row in cloud.sql(_SWAPPED)),
        *_false_places(cloud, technicians),
        *_false_cells(cloud),
        *_false_openings(cloud),
    ]


def anomalies(cloud: Cloud) -> dict[str, int]:
    """Count anomalies, discrepancies and quarantined accumulators; these are not faults."""
    return dict(cloud.sql(_ANOMALIES))


def _false_places(cloud: Cloud, technicians: Sequence[Technician]) -> Iterator[str]:
    """Yield accumulators that are not in exactly one place, or are recorded in another."""
    truth = [
        (cell["accumulator"]["accumulator_id"], f"{cabinet['cabinet_id']}/{cell['cell_number']}")
        for cabinet in _cabinets(cloud)
        for cell in cabinet["cells"]
        if cell["accumulator"]
    ]
    for one in technicians:
        truth += [(accumulator, one.name) for accumulator in one.charged | one.flat]
        truth += [(inside, scooter) for scooter, inside in one.scooters.items()]
    for accumulator, times in Counter(accumulator for accumulator, _ in truth).items():
        if times != 1:
            yield f"{accumulator} is in {times} places of the physical world"
    recorded = dict(cloud.sql(_PLACES))
    for accumulator, place in truth:
        record = recorded.pop(accumulator, None)
        never_swapped = record is None and accumulator.startswith("F-")
        if record != place and not never_swapped:
            yield f"{accumulator} is in {place}, recorded in {record}"
    yield from (f"{one} is nowhere, recorded in {place}" for one, place in recorded.items())


def _false_cells(cloud: Cloud) -> Iterator[str]:
    """Yield cells that the API shows wrongly, and open doors."""
    for cabinet in _cabinets(cloud):
        shown = cloud.api("read").get(f"/v1/cabinets/{cabinet['cabinet_id']}")["cells"]
        for cell, record in zip(cabinet["cells"], shown, strict=True):
            inside = (cell["accumulator"] or {}).get("accumulator_id")
            truth = (cell["door"], "occupied" if inside else "empty", inside, "ok", "closed")
            content = (record["content"], record["accumulator_id"], record["health"])
            if truth != (record["door"], *content, cell["door"]):
                yield f"{cabinet['cabinet_id']}: the cell {cell} is shown as {record}"


def _false_openings(cloud: Cloud) -> Iterator[str]:
    """Yield cells that were not opened exactly as often as commands are recorded to have done."""
    recorded = dict(cloud.sql(_OPENED))
    for cabinet in _cabinets(cloud):
        for cell in cabinet["cells"]:
            name = f"{cabinet['cabinet_id']}/{cell['cell_number']}"
            if cell["openings"] != recorded.get(name, 0):
                yield f"{name} was opened {cell['openings']} times, recorded {recorded.get(name)}"
        if cabinet["double_openings"]:
            yield f"{cabinet['cabinet_id']}: {cabinet['double_openings']} commands arrived twice"


def _cabinets(cloud: Cloud) -> list[Any]:
    return [cloud.control.cabinet(one["cabinet_id"]) for one in cloud.control.cabinets()]
