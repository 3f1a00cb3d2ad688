"""Whether the database says where everything really is."""

from typing import Any

from local.cabinet.memory import Memory
from tests.e2e.running import Running
from tests.soak.city import City
from tests.soak.gauges import Gauges
from tests.waiting import wait_until

_PLACES = """
    SELECT accumulator_id,
           CASE WHEN cabinet_id IS NOT NULL THEN ARRAY['cell', cabinet_id || '/' || cell_number]
                WHEN contractor_id IS NOT NULL THEN ARRAY['bag', contractor_id]
                WHEN scooter_id IS NOT NULL THEN ARRAY['scooter', scooter_id] END
      FROM accumulators"""
_NOT_AS_THEY_WERE = """
    SELECT cabinet_id || '/' || cell_number || ': door ' || door || ', ' || health
           || coalesce(' (' || coalesce(health_reason, fault) || ')', '')
      FROM cells WHERE door <> 'closed' OR health <> 'ok' OR fault IS NOT NULL"""
_IN_DOUBT = """
    SELECT 'command ' || command_id || ' is ' || status FROM commands
     WHERE status IN ('pending', 'published', 'no_answer') AND booking_id IS NOT NULL"""


def settle(stack: Running, city: City, gauges: Gauges, *, seconds: float) -> list[str]:
    """Shut all doors, let all cabinets report, and wait; what is still not as it is."""
    for cabinet in stack.control.cabinets():
        if cabinet["open_doors"]:
            city.shut(cabinet["cabinet_id"])
    for cabinet in stack.control.cabinets():
        stack.control.act(cabinet["cabinet_id"], "report")
    try:
        wait_until(lambda: not differences(stack, city, gauges), seconds=seconds)
    except TimeoutError:
        return differences(stack, city, gauges)
    return []


def differences(stack: Running, city: City, gauges: Gauges) -> list[str]:
    """What the database does not know, or has wrong."""
    recorded = {one: tuple(place) if place else None for one, place in gauges.query(_PLACES)}
    found: dict[str, Any] = {**_in_cells(stack), **city.places()}
    wrong = [
        f"{one} is in {found.get(one)}, but in {recorded.get(one)} by the database"
        for one in sorted(found.keys() | recorded)
        if found.get(one) != recorded.get(one)
    ]
    rows = gauges.query(_NOT_AS_THEY_WERE) + gauges.query(_IN_DOUBT)
    return wrong + [text for (text,) in rows]


def _in_cells(stack: Running) -> dict[str, tuple[str, ...]]:
    """The file that the simulation writes before anyone hears of a change."""
    cabinets, _ = Memory(stack.data_dir / "cabinets.jsonl").read()
    return {
        cell["accumulator"]["accumulator_id"]: ("cell", f"{cabinet_id}/{cell['cell_number']}")
        for cabinet_id, cabinet in cabinets.items()
        for cell in cabinet["cells"]
        if cell["accumulator"]
    }
