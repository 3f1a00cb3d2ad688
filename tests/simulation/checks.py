"""What must hold: after every step, and when all is quiet again.

The audit of GET /v1/stats, and what only the simulator can know.
"""

from typing import Any

from shared.db import Row, Tx
from shared.repo import stats
from tests.simulation.memory import Violation
from tests.simulation.scene import Scene

_HELD = """
    SELECT c.command_id::text, c.status, b.status AS booking
      FROM commands c JOIN bookings b USING (booking_id)
     WHERE c.status IN ('pending', 'published', 'no_answer')
       AND (b.status <> 'unlocking' OR (
            SELECT count(*) FROM booking_cells h
             WHERE h.booking_id = b.booking_id AND (NOT h.finished OR h.state = 'inserted')
               AND c.payload -> 'cells' @> to_jsonb(h.cell_number))
            < jsonb_array_length(c.payload -> 'cells'))"""
_ANSWERED = """
    SELECT command_id::text AS command_id, status, late FROM commands
     WHERE status IN ('succeeded', 'partially_succeeded', 'failed', 'rejected')"""
_ISSUED = """
    SELECT h.accumulator_id, b.booking_id FROM booking_cells h JOIN bookings b USING (booking_id)
     WHERE b.kind = 'issue' AND NOT h.finished"""
_NOT_MOVED = """
    SELECT h.accumulator_id, b.booking_id::text, h.cell_number
      FROM booking_cells h
      JOIN bookings b USING (booking_id)
      JOIN commands c USING (command_id)
      JOIN accumulators a USING (accumulator_id)
     WHERE b.kind = 'issue' AND h.state = 'opened' AND h.reason IS NULL
       AND (a.cabinet_id, a.cell_number) = (h.cabinet_id, h.cell_number)
       AND NOT EXISTS (SELECT FROM movements m WHERE m.accumulator_id = a.accumulator_id
                                                 AND m.at >= c.created_at)"""
_BOOKED_TWICE = """
    SELECT min_charge, count(*) AS n FROM bookings
     WHERE kind = 'issue' AND min_charge < 80 GROUP BY 1 HAVING count(*) > 1"""
_SWAPPED_TWICE = """
    SELECT swap_id::text AS swap_id, accumulator_id, count(*) AS n FROM movements
     WHERE swap_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"""
_SWAPPED = """
    SELECT to_scooter_id, accumulator_id, count(DISTINCT swap_id) AS n
      FROM movements
     WHERE cause = 'swapped' AND to_scooter_id IS NOT NULL
     GROUP BY 1, 2 HAVING count(DISTINCT swap_id) > 1"""
_CELLS = """
    SELECT c.cabinet_id, c.cell_number, c.door, c.content, c.reported_id,
           greatest((c.boot_no, c.seq), (k.report_boot_no, k.report_seq))::text AS position,
           b.boot_id
      FROM cells c JOIN cabinets k USING (cabinet_id)
      LEFT JOIN boots b ON b.cabinet_id = c.cabinet_id
                       AND b.boot_no = greatest(c.boot_no, k.report_boot_no)"""


_NEVER = {
    "I4 cells stay held until the command is settled": _HELD,
    "I3 what was issued has moved": _NOT_MOVED,
    "I3 one key makes one booking": _BOOKED_TWICE,
    "I3 one key makes one swap": _SWAPPED_TWICE,
}
"""Rules, and the questions whose answers break them."""

_ALWAYS = {
    "issued": _ISSUED,
    "answered": _ANSWERED,
    "cells": _CELLS,
    "swapped": _SWAPPED,
    "last movement": "SELECT coalesce(max(movement_id), 0) AS movement_id FROM movements",
}
"""What is compared with what the simulator knows."""


def after_step(sim: Scene) -> None:
    """Raise Violation if the database says what may not be."""
    if not sim.database.changed:
        return
    sim.database.changed = False
    for violation in stats.violations(_Eyes(sim)):
        raise Violation(violation["invariant"], f"{violation['subject']}: {violation['detail']}")
    found = sim.database.answers(_NEVER | _ALWAYS)
    for broken, row in ((rule, row) for rule in _NEVER for row in found[rule]):
        raise Violation(broken, row)
    _check_outcomes(sim, found)
    if found["last movement"][0]["movement_id"] > sim.memory.last_movement:
        _check_movements(sim)
    _check_evidence(sim, found["cells"])
    _check_swaps(sim, found["swapped"])


def _check_outcomes(sim: Scene, found: dict[str, list[Row]]) -> None:
    """What is given away is known, and what was answered stays so."""
    for row in found["issued"]:
        if row["accumulator_id"] not in sim.memory.registered | sim.memory.put_in_service:
            raise Violation("what nobody registered is not issued", row)
    for row in found["answered"]:
        told = (row["status"], row["late"])
        if sim.memory.outcomes.setdefault(row["command_id"], told) != told:
            raise Violation("I3 what is settled stays settled", row)


class _Eyes(Tx):
    """The simulator's own look into the database."""

    def __init__(self, sim: Scene) -> None:
        self._sim = sim

    def all(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        return self._sim.database.query(sql, **(params or {}))


def _check_movements(sim: Scene) -> None:
    """What leaves a cell had a door that opened; what is issued was opened by that command."""
    memory, world = sim.memory, sim.world
    rows = sim.database.query(
        """SELECT movement_id, accumulator_id, cause, from_cabinet_id, from_cell_number,
                  to_cabinet_id, to_contractor_id, command_id::text AS command_id,
                  coalesce((SELECT inferred FROM commands c WHERE c.command_id = m.command_id),
                           false) AS inferred
             FROM movements m WHERE movement_id > %(last)s ORDER BY movement_id""",
        last=memory.last_movement,
    )
    for row in rows:
        memory.last_movement = row["movement_id"]
        spot = (row["from_cabinet_id"], row["from_cell_number"])
        if spot[0] is None or spot in world.liars or row["cause"] in {"corrected", "swapped"}:
            continue
        # What is inferred rests on an open door, or on a cell without what was recorded in it.
        named = row["cause"] == "issued" and not row["inferred"]
        if named and spot[1] not in world.executed.get(row["command_id"], ()):
            raise Violation("what is issued was opened", row)
        put_at = world.put_at.get(row["accumulator_id"], 0)
        taken = (row["accumulator_id"], *spot) in world.taken
        if row["accumulator_id"] in world.twins:
            continue  # the other one was seen elsewhere
        if taken or world.opened_at.get(spot, 0) > put_at:
            continue
        if not _corrected(sim, row) and not _overtaken(sim, spot[0]):
            raise Violation("what leaves a cell had an open door", row)


def _corrected(sim: Scene, row: dict[str, Any]) -> bool:
    """Whether a person had recorded it into that cell."""
    found = sim.database.query(
        """SELECT 1 FROM movements
            WHERE accumulator_id = %(accumulator_id)s AND cause IN ('corrected', 'swapped')""",
        **row,
    )
    return bool(found)


def _overtaken(sim: Scene, cabinet_id: str) -> bool:
    """Whether a generation of it was heard of after a later one, and taken for later."""
    boots = sim.database.query(
        "SELECT boot_no, boot_id FROM boots WHERE cabinet_id = %(cabinet_id)s",
        cabinet_id=cabinet_id,
    )
    heard = sorted((boot["boot_no"], int(boot["boot_id"].split("-")[1])) for boot in boots)
    in_order = sorted(generation for _, generation in heard)
    return heard != list(enumerate(in_order, start=1))


def _check_evidence(sim: Scene, cells: list[Row]) -> None:
    """I7: a cell's evidence never becomes older, and says what the cabinet said then."""
    there = {row["cabinet_id"] for row in cells}
    positions = sim.memory.positions
    sim.memory.positions = {spot: at for spot, at in positions.items() if spot[0] in there}
    for row in cells:
        spot = (row["cabinet_id"], row["cell_number"])
        boot_no, seq = (int(part) for part in row["position"].strip("()").split(","))
        if (boot_no, seq) < sim.memory.positions.get(spot, (0, -1)):
            raise Violation("I7 older evidence never overwrites newer", row)
        sim.memory.positions[spot] = (boot_no, seq)
        message = sim.world.said.get((spot[0], row["boot_id"], seq))
        if message is None or seq < 0 or message["type"] in {"command_result", "hello"}:
            continue
        states = [message["cell"]] if "cell" in message else message["cells"]
        said = [cell for cell in states if cell["cell_number"] == spot[1]]
        door = said[0]["door"] if said else "unknown"
        inside = said[0]["accumulator_id"] if said else "?"
        content = {None: "empty", "?": "unidentified"}.get(inside, "occupied")
        content = content if said else "unknown"
        if "not an id" in str(said) or row["content"] == "unknown" != content:
            continue  # not believed; or issued and about to be taken
        if row["door"] not in {door, "unknown"} or row["content"] != content:
            raise Violation("I7 a cell is as the cabinet said last", {**row, "said": said})


def _check_swaps(sim: Scene, swapped: list[Row]) -> None:
    """One swap is recorded once."""
    done = [(swap[1], swap[2]) for swap in sim.memory.swaps]
    for row in swapped:
        pair = (row["to_scooter_id"], row["accumulator_id"])
        if row["accumulator_id"] in sim.world.twins:
            continue  # each of the two may be installed
        if pair not in sim.memory.overtaken and row["n"] > done.count(pair):
            raise Violation("I3 the same swap twice is one swap", row)


def _check_doubles(sim: Scene) -> None:
    """What left its cell by a command is not taken for two when cabinets' words come late."""
    if sim.world.liars:
        return
    rows = sim.database.query(
        """SELECT split_part(detail, ' ', 1) AS accumulator_id, detail FROM anomalies
            WHERE reason = 'duplicate_accumulator'"""
    )
    for row in rows:
        strange = sim.world.twins | sim.world.carried_off
        if row["accumulator_id"] not in strange and not _corrected(sim, row):
            raise Violation("one accumulator is not taken for two", row["detail"])


def when_quiet(sim: Scene) -> None:
    """Everything has been delivered and every cabinet has reported: the records are the truth."""
    after_step(sim)
    unfinished = sim.database.query("SELECT * FROM bookings WHERE finished_at IS NULL")
    if unfinished:
        raise Violation("every booking ends", unfinished[0])
    in_doubt = sim.database.query(
        """SELECT command_id::text, status FROM commands
            WHERE cabinet_id IS NOT NULL AND status IN ('pending', 'published', 'no_answer')"""
    )
    if in_doubt:
        raise Violation("every command is settled", in_doubt[0])
    _check_doubles(sim)
    recorded = {
        row["accumulator_id"]: row["place"]
        for row in sim.database.query(
            """SELECT accumulator_id, coalesce(cabinet_id || '/' || cell_number, contractor_id,
                                               scooter_id, 'nowhere') AS place
                 FROM accumulators"""
        )
    }
    rows = sim.database.query(
        "SELECT accumulator_id FROM movements WHERE from_cabinet_id = ANY (%(confused)s)",
        confused=[cabinet_id for cabinet_id in sim.world.units if _overtaken(sim, cabinet_id)],
    )
    when_unknown = {row["accumulator_id"] for row in rows}
    for accumulator_id, places in sim.world.everywhere().items():
        told = recorded.get(accumulator_id, "nowhere")
        claim = sim.world.claims.get(accumulator_id)
        detail = f"{accumulator_id} is in {' and '.join(places)}, recorded in {told}"
        in_cells = [place for place in places if "/" in place]
        if (in_cells or "/" in told) and told not in in_cells:
            raise Violation("the records are the truth", detail)
        sure = claim is not None and accumulator_id not in sim.world.twins | when_unknown
        if not in_cells and sure and told != claim:
            raise Violation("bags and scooters are known", detail)
