"""Checks of reported swaps and transfers, against the physical truth."""

from tests.simulation.backend import Response
from tests.simulation.calls import Call
from tests.simulation.memory import Report, Violation
from tests.simulation.state import RunState

_MOVED = """
    SELECT accumulator_id, coalesce(to_contractor_id, to_scooter_id) AS place FROM movements
     WHERE coalesce(swap_id, transfer_id)::text = %(id)s"""
_LAST = """
    SELECT DISTINCT ON (accumulator_id) coalesce(swap_id, transfer_id)::text AS id FROM movements
     WHERE accumulator_id = ANY (%(ids)s)
     ORDER BY accumulator_id, movement_id DESC"""
_DISPLACED = """
    SELECT accumulator_id FROM movements
     WHERE from_scooter_id = %(scooter)s AND swap_id IN (
           SELECT swap_id FROM movements WHERE accumulator_id = ANY (%(ids)s))"""


def report_ended(sim: RunState, index: int, call: Call) -> None:
    """Check the response to a report, and note what the records say from now on."""
    report, response = sim.memory.reports[index], call.result
    if response is None or response.status == 503:
        if call.commits:
            _note_outdated(sim, report)
        return
    if response.replayed:
        return
    known = sim.memory.report_ids.get(index)
    if response.status == 200:
        sim.memory.report_ids[index] = _id_in(response)
        _check_moved(sim, report, _id_in(response))
        _note_recorded(sim, index)
    elif response.status == 409 and known is not None and not _has_duplicate(sim, report):
        last = sim.database.query(_LAST, ids=[*report.places])
        if all(row["id"] == known for row in last):
            raise Violation(f"I3 a repeated {report.kind} gets the same response", response)


def _id_in(response: Response) -> str:
    return str(response.body.get("swap_id") or response.body.get("transfer_id"))


def _check_moved(sim: RunState, report: Report, id_: str) -> None:
    """Check that a report moved all accumulators that it names, and to where it says."""
    rows = sim.database.query(_MOVED, id=id_)
    moved = {row["accumulator_id"]: row["place"] for row in rows if row["place"] is not None}
    if moved != report.places:
        raise Violation(f"a {report.kind} moves all accumulators or none", f"{report} {moved}")


def _has_duplicate(sim: RunState, report: Report) -> bool:
    return bool(report.places.keys() & sim.world.duplicated_ids)


def _note_recorded(sim: RunState, index: int) -> None:
    """Note that a report was recorded: the places that it names are expected."""
    report = sim.memory.reports[index]
    is_retry = index in sim.memory.confirmed
    sim.memory.confirmed.add(index)
    if not _note_outdated(sim, report) and not is_retry:
        for accumulator_id, place in report.places.items():
            is_certain = accumulator_id not in sim.world.uncertain
            sim.world.expected_places[accumulator_id] = place if is_certain else None


def _note_outdated(sim: RunState, report: Report) -> bool:
    """Note which places become uncertain if a report is recorded after its accumulators moved on.

    Return whether they have.
    """
    places, expected = sim.world.places(), sim.world.expected_places
    if all(places[id_] == place for id_, place in report.places.items()):
        return False
    sim.memory.mark_overtaken({*report.places})
    uncertain = {*report.places}
    if report.scooter is not None:
        uncertain |= {i for i, place in expected.items() if place == report.scooter}
        uncertain |= _displaced(sim, report.scooter, report)
    expected.update(dict.fromkeys(uncertain))
    sim.world.uncertain |= uncertain
    return True


def _displaced(sim: RunState, scooter: str, report: Report) -> set[str]:
    """Return the accumulators that the records move out of a scooter because of a swap."""
    rows = sim.database.query(_DISPLACED, scooter=scooter, ids=[*report.places])
    return {row["accumulator_id"] for row in rows}
