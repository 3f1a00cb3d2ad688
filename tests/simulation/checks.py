"""The rules: what must hold after every step, and at rest at the end of a run.

They include the audit of GET /v1/stats, and what only the simulator can know.
"""

from datetime import datetime
from typing import Any

from shared.db import Row, Tx
from shared.evidence import unit_of_work
from shared.repo import stats
from tests.simulation.memory import CLAIMS_PER_HOUR, Violation
from tests.simulation.network import Message
from tests.simulation.state import RunState
from tests.simulation.transitions import Coverage
from tests.simulation.world import CellId

_HELD = """
    SELECT c.command_id::text, c.status, b.status AS booking
      FROM commands c JOIN bookings b USING (booking_id)
     WHERE c.status IN ('pending', 'published', 'no_answer')
       -- A return's cells are empty when they are opened again: they need not stay held. Times do
       -- not tell which command was first: one is that of a transaction that waited for the lock.
       AND NOT (b.kind = 'return' AND EXISTS (
            SELECT FROM commands o
             WHERE o.booking_id = b.booking_id AND o.command_id <> c.command_id
               AND o.status IN ('succeeded', 'partially_succeeded')))
       AND (b.status <> 'unlocking' OR (
            SELECT count(*) FROM booking_cells h
             WHERE h.booking_id = b.booking_id
               AND (NOT h.finished OR h.state = 'inserted'
                    OR h.state = 'opened' AND h.reason IS DISTINCT FROM 'not_collected')
               AND c.payload -> 'cells' @> to_jsonb(h.cell_number))
            < jsonb_array_length(c.payload -> 'cells'))"""
_ANSWERED = """
    SELECT command_id::text AS command_id, kind, status, result FROM commands
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
_ISSUED_TWICE = """
    SELECT command_id::text, accumulator_id, count(*) AS n FROM movements
     WHERE cause = 'issued' AND booking_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"""
_BOOKED_TWICE = """
    SELECT min_charge, count(*) AS n FROM bookings
     WHERE kind = 'issue' AND min_charge < 80 GROUP BY 1 HAVING count(*) > 1"""
_SWAPPED_TWICE = """
    SELECT swap_id::text AS swap_id, accumulator_id, count(*) AS n FROM movements
     WHERE swap_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 2"""
_TRANSFERRED_TWICE = """
    SELECT transfer_id::text AS transfer_id, accumulator_id, count(*) AS n FROM movements
     WHERE transfer_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY 2"""
_REPORTED = """
    SELECT cause, accumulator_id, coalesce(to_scooter_id, to_contractor_id) AS place,
           count(DISTINCT coalesce(swap_id, transfer_id)) AS n
      FROM movements
     WHERE cause IN ('swapped', 'transferred')
       AND num_nonnulls(to_scooter_id, to_contractor_id) > 0
     GROUP BY 1, 2, 3 HAVING count(DISTINCT coalesce(swap_id, transfer_id)) > 1"""
_IMPORTED_AWAY = """
    SELECT m.movement_id, m.accumulator_id FROM movements m
     WHERE m.cause = 'corrected' AND m.reason = 'imported'
       AND EXISTS (SELECT FROM movements e
                    WHERE e.accumulator_id = m.accumulator_id AND e.movement_id < m.movement_id
                      AND e.cause <> 'registered' AND e.reason IS DISTINCT FROM 'imported')"""
_REGISTRATIONS = """
    SELECT m.accumulator_id, m.reason, m.at, n.to_cabinet_id AS cabinet_id
      FROM movements m
      LEFT JOIN movements n ON n.movement_id = m.movement_id + 1
                           AND n.accumulator_id = m.accumulator_id AND n.at = m.at
     WHERE m.cause = 'registered' AND m.reason IS NOT NULL"""
_FROM_UNTOUCHED_CELLS = """
    SELECT m.to_cabinet_id AS cabinet_id, m.accumulator_id FROM movements m
     WHERE m.cause IN ('reported', 'returned') AND m.from_cabinet_id <> m.to_cabinet_id
       AND m.at > now() - interval '1 hour'
       AND NOT EXISTS (SELECT FROM commands c
                        WHERE c.cabinet_id = m.from_cabinet_id
                          AND c.payload -> 'cells' @> to_jsonb(m.from_cell_number))
     GROUP BY 1, 2"""
CELLS = """
    SELECT c.cabinet_id, c.cell_number, c.door, c.content, c.reported_id,
           greatest((c.boot_no, c.seq), (k.report_boot_no, k.report_seq))::text AS position,
           b.boot_id, b.restart_seq
      FROM cells c JOIN cabinets k USING (cabinet_id)
      LEFT JOIN boots b ON b.cabinet_id = c.cabinet_id
                       AND b.boot_no = greatest(c.boot_no, k.report_boot_no)"""


_BY_PEOPLE = {"corrected", "swapped", "transferred"}
"""Causes of movements that need no open door: people say where an accumulator is."""

_NEVER = {
    "I4 cells stay held until the command is settled": _HELD,
    "I3 an issued accumulator has moved": _NOT_MOVED,
    "I3 a command issues an accumulator once": _ISSUED_TWICE,
    "I3 one key makes one booking": _BOOKED_TWICE,
    "I3 one key makes one swap": _SWAPPED_TWICE,
    "an import never moves what was observed": _IMPORTED_AWAY,
    "I3 one key makes one transfer": _TRANSFERRED_TWICE,
}
"""Each rule and the query whose rows break it."""

_ALWAYS = {
    "issued": _ISSUED,
    "answered": _ANSWERED,
    "cells": CELLS,
    "reported": _REPORTED,
    "registrations": _REGISTRATIONS,
    "from untouched cells": _FROM_UNTOUCHED_CELLS,
    "last movement": "SELECT coalesce(max(movement_id), 0) AS movement_id FROM movements",
}
"""Queries whose rows are compared with what the simulator knows."""


def after_step(sim: RunState) -> None:
    """Raise Violation if the database breaks a rule that must always hold."""
    if not sim.database.changed:
        return
    sim.database.changed = False
    for violation in stats.violations(_Observer(sim)):
        raise Violation(violation["invariant"], f"{violation['subject']}: {violation['detail']}")
    found = sim.database.query_all(_NEVER | _ALWAYS)
    for broken, row in ((rule, row) for rule in _NEVER for row in found[rule]):
        raise Violation(broken, row)
    _check_registrations(sim, found["registrations"])
    _check_outcomes(sim, found)
    _check_lies(sim, found["from untouched cells"])
    if found["last movement"][0]["movement_id"] > sim.memory.last_movement:
        _check_movements(sim)
    _check_evidence(sim, found["cells"])
    _check_reports(sim, found["reported"])


def _check_registrations(sim: RunState, rows: list[Row]) -> None:
    """Only an enrolling cabinet puts unknown accumulators in service; a dry run registers none."""
    for row in rows:
        until = [
            until
            for cabinet_id, until in sim.memory.enrolments
            if row["cabinet_id"] in {None, cabinet_id}
        ]
        at = datetime.fromisoformat(row["at"])
        if row["reason"] == "enrolled" and at >= max(until, default=at):
            raise Violation("only an enrolling cabinet enrols", row)
        if row["reason"] == "imported" and row["accumulator_id"] not in sim.memory.imported:
            raise Violation("a dry run registers nothing", row)
        sim.memory.registered.add(row["accumulator_id"])


def _check_lies(sim: RunState, rows: list[Row]) -> None:
    """A cabinet that lies takes few accumulators out of cells that no command ever named."""
    for cabinet_id, lies in sim.world.lies.items():
        taken = {row["accumulator_id"] for row in rows if row["cabinet_id"] == cabinet_id} & lies
        if len(taken) > CLAIMS_PER_HOUR and cabinet_id not in sim.memory.cleared:
            raise Violation("a cabinet that lies takes few", f"{cabinet_id}: {sorted(taken)}")


def _check_outcomes(sim: RunState, found: dict[str, list[Row]]) -> None:
    """Only registered accumulators are issued; a settled command only gains opened cells."""
    for row in found["issued"]:
        if row["accumulator_id"] not in sim.memory.registered | sim.memory.put_in_service:
            raise Violation("only registered accumulators are issued", row)
    for row in found["answered"]:
        results = {cell["cell_number"]: cell["result"] for cell in row["result"] or []}
        known = sim.memory.outcomes.get(row["command_id"])
        sim.memory.outcomes[row["command_id"]] = (row["status"], results)
        if known is not None:
            _check_changed(row, *known, results)


def _check_changed(row: Row, status: str, before: dict[int, str], results: dict[int, str]) -> None:
    """Check how a settled command has changed: `opened` is final, `no_result` says nothing."""
    done = "locked" if row["kind"] == "lock" else "opened"
    changed = {n: word for n, word in before.items() if results.get(n) != word}
    if done in changed.values():
        raise Violation("I3 a cell that has opened stays opened", {**row, "before": before})
    is_more = any(word == done != before.get(number) for number, word in results.items())
    if any(word != "no_result" and results.get(n) != done for n, word in changed.items()):
        raise Violation("I3 a cell's result changes only to opened", {**row, "before": before})
    if row["status"] != status and not is_more:
        raise Violation("I3 a settled command changes only by cells that opened", row)


class _Observer(Tx):
    """A read-only transaction of the simulator, for the audit's query."""

    def __init__(self, sim: RunState) -> None:
        self._sim = sim

    def all(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        return self._sim.database.query(sql, **(params or {}))


def _check_movements(sim: RunState) -> None:
    """An accumulator left its cell by an open door; an issued one, by its command's door."""
    rows = sim.database.query(
        """SELECT movement_id, accumulator_id, cause, from_cabinet_id, from_cell_number,
                  to_cabinet_id, to_contractor_id, command_id::text AS command_id, discrepancy,
                  coalesce((SELECT inferred FROM commands c WHERE c.command_id = m.command_id),
                           false) AS inferred
             FROM movements m WHERE movement_id > %(last)s ORDER BY movement_id""",
        last=sim.memory.last_movement,
    )
    for row in rows:
        sim.memory.last_movement = row["movement_id"]
        if row["from_cabinet_id"] is None or row["cause"] in _BY_PEOPLE:
            continue
        cell_id = CellId(row["from_cabinet_id"], row["from_cell_number"])
        if cell_id not in sim.world.misreported:
            _check_opened(sim, row, cell_id)


def _check_opened(sim: RunState, row: Row, cell_id: CellId) -> None:
    """Check that the cell that an accumulator has left was opened, and by the named command."""
    world = sim.world
    is_opened = cell_id.number in world.executed.get(row["command_id"], ())
    if row["cause"] == "issued" and not is_opened:
        if not row["inferred"]:
            raise Violation("the cell of an issued accumulator was opened", row)
        # An inferred outcome only follows from an open door or a changed content.
        is_late = row["discrepancy"] and cell_id not in world.forced
        if is_late and not _opened_by_same_booking(sim, row["command_id"], cell_id):
            raise Violation("a late opening is that of the command that loosened the lock", row)
    put_at = world.put_at.get(row["accumulator_id"], 0)
    taken = (row["accumulator_id"], *cell_id) in world.taken
    if row["accumulator_id"] in world.duplicated_ids:
        return  # the other accumulator with this id was seen elsewhere
    if taken or world.opened_at.get(cell_id, 0) > put_at:
        return
    if row["cause"] == "reported" and cell_id.cabinet_id in world.misnumbered:
        return  # an older message may have come after a restart that nothing had proved yet
    if not _corrected(sim, row) and not overtaken(sim, cell_id.cabinet_id):
        raise Violation("an accumulator leaves its cell only by an open door", row)


def _opened_by_same_booking(sim: RunState, command_id: str, cell_id: CellId) -> bool:
    """Whether another command of the same booking opened the cell, of a misnumbered cabinet.

    Its messages prove nothing before its next report on request, so that the last command is named.
    """
    rows = sim.database.query(
        """SELECT other.command_id::text AS command_id
             FROM commands named JOIN commands other USING (booking_id)
            WHERE named.command_id = %(command_id)s""",
        command_id=command_id,
    )
    opened = (cell_id.number in sim.world.executed.get(row["command_id"], ()) for row in rows)
    return cell_id.cabinet_id in sim.world.misnumbered and any(opened)


def _corrected(sim: RunState, row: dict[str, Any]) -> bool:
    """Whether people had changed its recorded place: an operator, a swap, a transfer."""
    found = sim.database.query(
        """SELECT 1 FROM movements
            WHERE accumulator_id = %(accumulator_id)s AND cause = ANY (%(causes)s)""",
        accumulator_id=row["accumulator_id"],
        causes=[*_BY_PEOPLE],
    )
    return bool(found)


def overtaken(sim: RunState, cabinet_id: str) -> bool:
    """Whether the service saw an earlier boot first after a later one, and so took it for later."""
    found = boots(sim, cabinet_id)
    in_order = sorted(found.values())
    if cabinet_id in sim.world.misnumbered:  # a restart of its numbering has a boot_no, too
        is_so = [*found.values()] != in_order
    else:  # the first ones may not be kept any more
        is_so = [*found.items()] != [*enumerate(in_order, start=min(found, default=1))]
    if is_so:
        sim.memory.overtaken.add(cabinet_id)
    return cabinet_id in sim.memory.overtaken


def may_be_unproved(sim: RunState, cabinet_id: str) -> bool:
    """Whether the service may wait for an answer before it believes a boot of the cabinet."""
    return max(boots(sim, cabinet_id), default=0) >= unit_of_work.MAX_BOOTS


def boots(sim: RunState, cabinet_id: str) -> dict[int, int]:
    """Return a cabinet's boots, numbered by the simulator, by their boot_no."""
    rows = sim.database.query(
        "SELECT boot_no, boot_id FROM boots WHERE cabinet_id = %(cabinet_id)s ORDER BY boot_no",
        cabinet_id=cabinet_id,
    )
    return {row["boot_no"]: int(row["boot_id"].split("-")[1]) for row in rows}


def _check_evidence(sim: RunState, cells: list[Row]) -> None:
    """I7: a cell's evidence never becomes older, and matches the message that it came from."""
    registered = {row["cabinet_id"] for row in cells}
    positions = sim.memory.positions
    sim.memory.positions = {
        cell_id: at for cell_id, at in positions.items() if cell_id.cabinet_id in registered
    }
    for row in cells:
        cell_id = CellId(row["cabinet_id"], row["cell_number"])
        boot_no, seq = (int(part) for part in row["position"].strip("()").split(","))
        if (boot_no, seq) < sim.memory.positions.get(cell_id, (0, -1)):
            raise Violation("I7 older evidence never overwrites newer", row)
        sim.memory.positions[cell_id] = (boot_no, seq)
        sent = sim.world.sent_messages.get((cell_id.cabinet_id, row["boot_id"], seq), [])
        messages = [message for _, message in sent]
        if seq >= 0 and messages and not any(_matches(row, message) for message in messages):
            raise Violation(
                "I7 a cell matches the last message about it", {**row, "reported": messages}
            )


def _matches(row: Row, message: Message) -> bool:
    """Whether a cell is stored as a message reports it."""
    if message["type"] in {"command_result", "hello"}:
        return True
    states = [message["cell"]] if "cell" in message else message["cells"]
    reported = [cell for cell in states if cell["cell_number"] == row["cell_number"]]
    door = reported[0]["door"] if reported else "unknown"
    inside = reported[0]["accumulator_id"] if reported else "?"
    content = {None: "empty", "?": "unidentified"}.get(inside, "occupied")
    content = content if reported else "unknown"
    if row["content"] == "unknown" != content:
        return True  # issued and not collected yet
    if inside == "not an id":
        content = "unidentified"
    return row["door"] in {door, "unknown"} and row["content"] == content


def _check_reports(sim: RunState, reported: list[Row]) -> None:
    """A swap or a transfer is recorded no more often than it happened."""
    for row in reported:
        kind = "swap" if row["cause"] == "swapped" else "transfer"
        move = (row["accumulator_id"], row["place"])
        if row["accumulator_id"] in sim.world.duplicated_ids:
            continue  # both accumulators with this id may have been moved
        done = sum(r.kind == kind and move in r.places.items() for r in sim.memory.reports)
        if move not in sim.memory.overtaken_reports and row["n"] > done:
            raise Violation(f"I3 a {kind} is recorded once", row)


def _check_doubles(sim: RunState) -> None:
    """Check that late messages do not make one accumulator look like two."""
    if sim.world.misreported:
        return
    rows = sim.database.query(
        """SELECT split_part(detail, ' ', 1) AS accumulator_id, detail FROM anomalies
            WHERE reason = 'duplicate_accumulator'"""
    )
    for row in rows:
        expected = sim.world.duplicated_ids | sim.world.carried_off
        if row["accumulator_id"] not in expected and not _corrected(sim, row):
            raise Violation(
                "an accumulator that exists once is not reported as a duplicate", row["detail"]
            )


def after_run(sim: RunState) -> None:
    """Raise Violation if the run attempted or committed a change that no state machine allows."""
    forbidden = Coverage(sim.database.changes()).forbidden()
    refused = sim.database.query("SELECT detail FROM anomalies WHERE reason = 'illegal_transition'")
    for change in [*forbidden, *(row["detail"] for row in refused)]:
        raise Violation("states change as their machines allow", change)


def at_rest(sim: RunState) -> None:
    """Raise Violation unless the records are true, after every cabinet has reported."""
    after_step(sim)
    unfinished = sim.database.query("SELECT * FROM bookings WHERE finished_at IS NULL")
    if unfinished:
        raise Violation("every booking ends", unfinished[0])
    unsettled = sim.database.query(
        """SELECT command_id::text, status FROM commands
            WHERE cabinet_id IS NOT NULL AND status IN ('pending', 'published', 'no_answer')"""
    )
    if unsettled:
        raise Violation("every command is settled", unsettled[0])
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
        "SELECT accumulator_id FROM movements WHERE from_cabinet_id = ANY (%(cabinet_ids)s)",
        cabinet_ids=[cabinet_id for cabinet_id in sim.world.cabinets if overtaken(sim, cabinet_id)],
    )
    uncertain = {row["accumulator_id"] for row in rows}
    for accumulator_id, places in sim.world.everywhere().items():
        place = recorded.get(accumulator_id, "nowhere")
        expected = sim.world.expected_places.get(accumulator_id)
        detail = f"{accumulator_id} is in {' and '.join(places)}, recorded in {place}"
        in_cells = [real for real in places if "/" in real]
        if (in_cells or "/" in place) and place not in in_cells:
            raise Violation("recorded places are the real places", detail)
        is_certain = accumulator_id not in sim.world.duplicated_ids | uncertain
        if not in_cells and is_certain and expected is not None and place != expected:
            raise Violation("places in bags and scooters are recorded", detail)
