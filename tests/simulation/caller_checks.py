"""At the end of a run, everything has the caller whose request did it, and nothing else has one."""

from tests.simulation.backend import BACKEND, OPERATOR
from tests.simulation.memory import Violation
from tests.simulation.state import RunState

_MOVEMENTS = """
    SELECT m.movement_id, m.accumulator_id, m.cause, m.requested_by
      FROM movements m
     WHERE CASE WHEN m.cause IN ('swapped', 'transferred') THEN ARRAY[%(backend)s]
                WHEN m.cause = 'corrected' THEN ARRAY[%(operator)s]
                -- By an operator; by the report of a swap or a transfer; by a cabinet's report.
                WHEN m.cause = 'registered' AND m.reason = 'enrolled' THEN ARRAY[NULL]
                WHEN m.cause = 'registered' AND m.reason = 'imported' THEN ARRAY[%(operator)s]
                -- A report may register one that it does not move: its cell's unlock is unsettled.
                WHEN m.cause = 'registered' AND EXISTS (
                     SELECT FROM accumulators a
                      WHERE a.accumulator_id = m.accumulator_id AND a.found_by IS NOT NULL)
                THEN ARRAY[NULL]
                WHEN m.cause = 'registered' THEN (
                     SELECT coalesce(array_agg(n.requested_by), ARRAY[%(operator)s])
                       FROM movements n
                      WHERE n.accumulator_id = m.accumulator_id AND n.at = m.at
                        AND n.movement_id = (SELECT min(f.movement_id) FROM movements f
                                              WHERE f.accumulator_id = m.accumulator_id
                                                AND f.movement_id > m.movement_id))
                ELSE ARRAY[NULL] END <> ARRAY[m.requested_by]"""
_BOOKINGS = """
    SELECT booking_id::text, status, requested_by, cancelled_by FROM bookings
     WHERE requested_by IS DISTINCT FROM %(backend)s
        OR coalesce(cancelled_by, %(backend)s) <> %(backend)s
        OR (status = 'cancelled') <> (cancelled_by IS NOT NULL)
           AND NOT (status = 'partially_completed' AND kind = 'return')"""
_COMMANDS = """
    SELECT command_id::text, kind, booking_id::text, requested_by FROM commands
     WHERE requested_by <> ALL (CASE WHEN cabinet_id IS NULL THEN ARRAY['poll']
                                     WHEN booking_id IS NOT NULL THEN ARRAY[%(backend)s]
                                     -- An unlock that finds a command in doubt asks, too.
                                     WHEN kind = 'report_state' AND reason IS NULL
                                     THEN ARRAY[%(backend)s]
                                     ELSE ARRAY[%(operator)s] END)"""
_CELLS = """
    SELECT cabinet_id, cell_number, health, health_reason, requested_by FROM cells
     WHERE requested_by <> %(operator)s
        OR (health = 'disabled' AND health_reason <> 'unresolved') AND requested_by IS NULL
        OR health = 'faulty' AND requested_by IS NOT NULL"""
_EVENTS = """
    SELECT type, subject, caused_by, requested_by
      FROM (SELECT type, subject, caused_by, resource ->> 'event_requested_by' AS requested_by
              FROM (SELECT type, subject, caused_by, resource FROM events
                     UNION ALL
                    SELECT type, subject, caused_by, resource FROM event_outbox) e) named
     WHERE requested_by IS DISTINCT FROM
           CASE WHEN caused_by IN (%(backend)s, %(operator)s) THEN caused_by END
       AND NOT (requested_by IS NULL AND type IN ('booking.expired', 'command.no_answer',
                                                  'booking.partially_completed'))"""
_RULES = {
    "each movement has its caller": _MOVEMENTS,
    "each booking has its callers": _BOOKINGS,
    "each command has its caller": _COMMANDS,
    "each cell has the caller that set its health": _CELLS,
    "each event has its caller": _EVENTS,
}
"""Each rule and the query whose rows break it."""


def check_callers(sim: RunState) -> None:
    """Raise Violation if a row that a request wrote lacks its caller, or another has one."""
    for rule, query in _RULES.items():
        broken = sim.database.query(query, backend=BACKEND, operator=OPERATOR)
        if broken:
            raise Violation(rule, broken[0])
