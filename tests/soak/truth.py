"""Compare the records with the physical truth."""

from typing import Any

from local.cabinet.state_file import StateFile
from tests.soak.samples import Sampler
from tests.soak.technicians import Technicians
from tests.support.local_cloud import LocalCloud
from tests.support.waiting import wait_until

_PLACES = """
    SELECT accumulator_id,
           CASE WHEN cabinet_id IS NOT NULL THEN ARRAY['cell', cabinet_id || '/' || cell_number]
                WHEN contractor_id IS NOT NULL THEN ARRAY['bag', contractor_id]
                WHEN scooter_id IS NOT NULL THEN ARRAY['scooter', scooter_id] END
      FROM accumulators"""
_ABNORMAL_CELLS = """
    SELECT cabinet_id || '/' || cell_number || ': door ' || door || ', ' || health
           || coalesce(' (' || coalesce(health_reason, fault) || ')', '')
      FROM cells WHERE door <> 'closed' OR health <> 'ok' OR fault IS NOT NULL"""
_UNSETTLED = """
    SELECT 'command ' || command_id || ' is ' || status FROM commands
     WHERE status IN ('pending', 'published', 'no_answer') AND booking_id IS NOT NULL"""


def differences_at_rest(
    stack: LocalCloud, technicians: Technicians, sampler: Sampler, *, seconds: float
) -> list[str]:
    """Close all doors, let all cabinets report, and wait until the records are true.

    Return the differences that remain.
    """
    for cabinet in stack.control.cabinets():
        if cabinet["open_doors"]:
            technicians.close(cabinet["cabinet_id"])
    for cabinet in stack.control.cabinets():
        stack.control.act(cabinet["cabinet_id"], "report")
    try:
        wait_until(lambda: not differences(stack, technicians, sampler), seconds=seconds)
    except TimeoutError:
        return differences(stack, technicians, sampler)
    return []


def differences(stack: LocalCloud, technicians: Technicians, sampler: Sampler) -> list[str]:
    """Return each false record as a line."""
    recorded = {one: tuple(place) if place else None for one, place in sampler.query(_PLACES)}
    real: dict[str, Any] = {**_in_cells(stack), **technicians.places()}
    wrong = [
        f"{one} is in {real.get(one)}, recorded in {recorded.get(one)}"
        for one in sorted(real.keys() | recorded)
        if real.get(one) != recorded.get(one)
    ]
    rows = sampler.query(_ABNORMAL_CELLS) + sampler.query(_UNSETTLED)
    return wrong + [text for (text,) in rows]


def _in_cells(stack: LocalCloud) -> dict[str, tuple[str, ...]]:
    """Read the places in cells from the file of the simulated cabinets."""
    cabinets, _ = StateFile(stack.data_dir / "cabinets.jsonl").read()
    return {
        cell["accumulator"]["accumulator_id"]: ("cell", f"{cabinet_id}/{cell['cell_number']}")
        for cabinet_id, cabinet in cabinets.items()
        for cell in cabinet["cells"]
        if cell["accumulator"]
    }
