"""What must hold: after every step, and when all is quiet again.

The audit of GET /v1/stats, and what only the simulator can know.
"""

from typing import Any

from shared.db import Tx
from shared.repo import stats
from tests.simulation.simulation import Simulation, Violation

_HELD = """
    SELECT c.command_id::text, c.status, b.status AS booking
      FROM commands c JOIN bookings b USING (booking_id)
     WHERE c.status IN ('pending', 'published', 'no_answer') AND b.status <> 'unlocking'"""
_STRANGERS = """
    SELECT h.accumulator_id, b.booking_id FROM booking_cells h JOIN bookings b USING (booking_id)
     WHERE b.kind = 'issue' AND NOT h.finished AND h.accumulator_id <> ALL (%(known)s)"""
_TWICE = """
    SELECT b.booking_id::text, h.cell_number, count(*) FROM movements m
      JOIN bookings b USING (booking_id)
      JOIN booking_cells h USING (booking_id)
     WHERE m.cause = 'returned' AND b.kind = 'return' AND h.accumulator_id = m.accumulator_id
       AND m.to_cell_number = h.cell_number
     GROUP BY 1, 2, m.accumulator_id HAVING count(*) > 1"""
_CELLS = """
    SELECT c.cabinet_id, c.cell_number, c.door, c.content, c.reported_id,
           greatest((c.boot_no, c.seq), (k.report_boot_no, k.report_seq))::text AS position,
           b.boot_id
      FROM cells c JOIN cabinets k USING (cabinet_id)
      LEFT JOIN boots b ON b.cabinet_id = c.cabinet_id
                       AND b.boot_no = greatest(c.boot_no, k.report_boot_no)"""


def after_step(sim: Simulation) -> None:
    """Raise Violation if the database says what may not be."""
    if not sim.database.changed:
        return
    sim.database.changed = False
    for violation in stats.violations(_Eyes(sim)):  # type: ignore[arg-type] # as much as it needs
        raise Violation(violation["invariant"], f"{violation['subject']}: {violation['detail']}")
    for row in sim.database.query(_HELD):
        raise Violation("I4 cells stay held until the command is settled", row)
    known = [*(sim.memory.registered | sim.memory.put_in_service)]
    for row in sim.database.query(_STRANGERS, known=known):
        raise Violation("what nobody registered is not issued", row)
    _check_movements(sim)
    _check_evidence(sim)
    _check_swaps(sim)


class _Eyes(Tx):
    """The simulator's own look into the database."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim

    def all(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        return self._sim.database.query(sql, **(params or {}))


def _check_movements(sim: Simulation) -> None:
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
        if not taken and world.opened_at.get(spot, 0) <= put_at and not _corrected(sim, row):
            raise Violation("what leaves a cell had an open door", row)


def _corrected(sim: Simulation, row: dict[str, Any]) -> bool:
    """Whether a person had recorded it into that cell."""
    found = sim.database.query(
        """SELECT 1 FROM movements
            WHERE accumulator_id = %(accumulator_id)s AND cause IN ('corrected', 'swapped')""",
        **row,
    )
    return bool(found)


def _check_evidence(sim: Simulation) -> None:
    """I7: a cell's evidence never becomes older, and says what the cabinet said then."""
    for row in sim.database.query(_CELLS):
        spot = (row["cabinet_id"], row["cell_number"])
        boot_no, seq = (int(part) for part in row["position"].strip("()").split(","))
        if (boot_no, seq) < sim.memory.positions.get(spot, (0, -1)):
            raise Violation("I7 older evidence never overwrites newer", row)
        sim.memory.positions[spot] = (boot_no, seq)
        message = sim.world.said.get((spot[0], row["boot_id"], seq))
        if message is None or seq < 0 or message["type"] in {"command_result", "hello"}:
            continue
        cells = [message["cell"]] if "cell" in message else message["cells"]
        said = [cell for cell in cells if cell["cell_number"] == spot[1]]
        door = said[0]["door"] if said else "unknown"
        inside = said[0]["accumulator_id"] if said else "?"
        content = {None: "empty", "?": "unidentified"}.get(inside, "occupied")
        content = content if said else "unknown"
        if "not an id" in str(said) or row["content"] == "unknown" != content:
            continue  # not believed; or issued and about to be taken
        if row["door"] not in {door, "unknown"} or row["content"] != content:
            raise Violation("I7 a cell is as the cabinet said last", {**row, "said": said})


def _check_swaps(sim: Simulation) -> None:
    """One swap is recorded once."""
    done = sim.memory.swaps
    for row in sim.database.query(
        """SELECT from_contractor_id, to_scooter_id, accumulator_id, count(DISTINCT swap_id) AS n
             FROM movements WHERE cause = 'swapped' AND to_scooter_id IS NOT NULL
                              AND from_contractor_id IS NOT NULL
            GROUP BY 1, 2, 3 HAVING count(DISTINCT swap_id) > 1"""
    ):
        names = (row["from_contractor_id"], row["to_scooter_id"], row["accumulator_id"])
        if row["n"] > sum(swap[:3] == names for swap in done):
            raise Violation("I3 the same swap twice is one swap", row)


def when_quiet(sim: Simulation) -> None:
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
    recorded = {
        row["accumulator_id"]: row["place"]
        for row in sim.database.query(
            """SELECT accumulator_id, coalesce(cabinet_id || '/' || cell_number, contractor_id,
                                               scooter_id, 'nowhere') AS place
                 FROM accumulators"""
        )
    }
    for accumulator_id, place in sim.world.places().items():
        told = recorded.get(accumulator_id, "nowhere")
        if "/" in place or "/" in told:
            if place != told:
                raise Violation("the records are the truth", f"{accumulator_id} is in {place}, recorded in {told}")
        elif accumulator_id in sim.world.claims and sim.world.claims[accumulator_id]:
            if told != sim.world.claims[accumulator_id]:
                raise Violation("bags and scooters are known", f"{accumulator_id} is in {place}, recorded in {told}")
