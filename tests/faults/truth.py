"""When all faults are healed and every cabinet has reported: the records are the physical truth."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.faults.cloud import Cloud
from tests.faults.technicians import Technician

_PLACES = """
    SELECT accumulator_id, coalesce(cabinet_id || '/' || cell_number, contractor_id, scooter_id,
                                    'nowhere')
      FROM accumulators"""
_IN_DOUBT = """
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
_KEPT = """
    SELECT 'anomaly ' || reason, count(*)::int FROM anomalies GROUP BY 1
    UNION ALL
    SELECT 'discrepancy ' || cause, count(*)::int FROM movements WHERE discrepancy GROUP BY 1
    UNION ALL
    SELECT 'quarantined', count(*)::int FROM accumulators WHERE status <> 'in_service'
    HAVING count(*) > 0
     ORDER BY 1"""


def is_quiet(cloud: Cloud) -> bool:
    """Whether nothing is under way any more, and every cabinet has just told its state."""
    operator = cloud.api("operator")
    body = {"kind": "report_state", "reason": "is all quiet?"}
    reported = [
        operator.call("POST", f"/v1/cabinets/{one['cabinet_id']}/commands", body).status
        for one in cloud.control.cabinets()
    ]
    return set(reported) == {200} and not cloud.sql(_IN_DOUBT) and not cloud.sql(_UNFINISHED)


def lies(cloud: Cloud, technicians: Sequence[Technician]) -> list[str]:
    """Everything in the records that is not so, a line each."""
    audit = cloud.api("operator").get("/v1/stats")["audit"]
    return [
        *(f"audit: {one}" for one in audit["violations"]),
        *(f"in doubt: {row}" for row in cloud.sql(_IN_DOUBT)),
        *(f"unfinished: {row}" for row in cloud.sql(_UNFINISHED)),
        *(f"issued twice: {row}" for row in cloud.sql(_ISSUED)),
        *(f"swapped twice: {row}" for row in cloud.sql(_SWAPPED)),
        *_of_places(cloud, technicians),
        *_of_cells(cloud),
        *_of_openings(cloud),
    ]


def remarks(cloud: Cloud) -> dict[str, int]:
    """What the service found strange: none of it need be wrong."""
    return dict(cloud.sql(_KEPT))


def _of_places(cloud: Cloud, technicians: Sequence[Technician]) -> Iterator[str]:
    """Every accumulator is where hands have put it, exactly once."""
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
        told = recorded.pop(accumulator, None)
        first_not_swapped = told is None and accumulator.startswith("F-")
        if told != place and not first_not_swapped:
            yield f"{accumulator} is in {place}, recorded in {told}"
    yield from (f"{one} is nowhere, recorded in {told}" for one, told in recorded.items())


def _of_cells(cloud: Cloud) -> Iterator[str]:
    """Each cell is shown as it is, and every door was shut."""
    for cabinet in _cabinets(cloud):
        shown = cloud.api("read").get(f"/v1/cabinets/{cabinet['cabinet_id']}")["cells"]
        for cell, told in zip(cabinet["cells"], shown, strict=True):
            inside = (cell["accumulator"] or {}).get("accumulator_id")
            is_so = (cell["door"], "occupied" if inside else "empty", inside, "ok", "closed")
            content = (told["content"], told["accumulator_id"], told["health"])
            if is_so != (told["door"], *content, cell["door"]):
                yield f"{cabinet['cabinet_id']}: the cell {cell} is shown as {told}"


def _of_openings(cloud: Cloud) -> Iterator[str]:
    """Each time that a bolt moved, one command is recorded to have moved it."""
    recorded = dict(cloud.sql(_OPENED))
    for cabinet in _cabinets(cloud):
        for cell in cabinet["cells"]:
            name = f"{cabinet['cabinet_id']}/{cell['cell_number']}"
            if cell["openings"] != recorded.get(name, 0):
                yield f"{name} was opened {cell['openings']} times, recorded {recorded.get(name)}"
        if cabinet["double_openings"]:
            yield f"{cabinet['cabinet_id']}: {cabinet['double_openings']} commands came twice"


def _cabinets(cloud: Cloud) -> list[Any]:
    return [cloud.control.cabinet(one["cabinet_id"]) for one in cloud.control.cabinets()]
