"""The cells of returns that wait for accumulators. The caller has locked the cabinet's row."""

from uuid import UUID

from shared import states
from shared.db import Tx


def cells_to_reopen(tx: Tx, booking_id: UUID) -> list[int]:
    """Return the cells of a return that are usable and were closed with nothing inserted.

    `opened_by` is set until a door is reported closed: without that report, it may be open still.
    """
    sql = """
        SELECT h.cell_number
          FROM booking_cells h
          JOIN cells c ON (c.cabinet_id, c.cell_number) = (h.cabinet_id, h.cell_number)
         WHERE h.booking_id = %(booking_id)s AND h.state = 'opened' AND NOT h.finished
           AND c.usable AND c.content = 'empty' AND c.opened_by IS NULL
         ORDER BY h.cell_number"""
    return [row["cell_number"] for row in tx.all(sql, {"booking_id": booking_id})]


def cells_in_use(tx: Tx, booking_id: UUID) -> list[int]:
    """Return the cells of a return that are not closed and empty, or whose unlock is unsettled."""
    sql = """
        SELECT h.cell_number
          FROM booking_cells h
          JOIN cells c ON (c.cabinet_id, c.cell_number) = (h.cabinet_id, h.cell_number)
         WHERE h.booking_id = %(booking_id)s AND h.state = 'opened' AND NOT h.finished
           AND (c.door <> 'closed' OR c.content <> 'empty' OR c.opened_by IS NOT NULL
                OR EXISTS (SELECT FROM commands m
                            WHERE m.booking_id = h.booking_id AND m.status = ANY (%(unsettled)s)
                              AND m.payload -> 'cells' @> to_jsonb(h.cell_number)))
         ORDER BY h.cell_number"""
    params = {"booking_id": booking_id, "unsettled": [*states.COMMAND_UNSETTLED]}
    return [row["cell_number"] for row in tx.all(sql, params)]


def insert_by_hand(
    tx: Tx, cabinet_id: str, cell_number: int, accumulator_id: str, charge: int | None
) -> None:
    """Finish the hold of a return in this cell: a person says what was put into it.

    The return ends if no other of its cells waits, and its unlock is settled.
    """
    inserted = states.BOOKING_CELL.move("inserted")
    sql = """
        WITH hold AS (
            UPDATE booking_cells h
               SET state = %(target)s, finished = true, reason = NULL,
                   accumulator_id = %(accumulator_id)s, battery_charge = %(charge)s
              FROM bookings b
             WHERE (h.cabinet_id, h.cell_number) = (%(cabinet_id)s, %(cell_number)s)
               AND h.state = ANY (%(sources)s) AND NOT h.finished
               AND b.booking_id = h.booking_id
               AND b.kind = 'return' AND b.status IN ('unlocking', 'returning')
            RETURNING h.booking_id)
        UPDATE bookings b
           SET finished_at = now(),
               status = CASE WHEN EXISTS (
                   SELECT FROM booking_cells o
                    WHERE o.booking_id = b.booking_id AND o.cell_number <> %(cell_number)s
                      AND NOT (o.state = ANY (%(complete)s)))
                   THEN %(some)s ELSE %(all)s END
          FROM hold
         WHERE b.booking_id = hold.booking_id AND b.status = 'returning' AND NOT EXISTS (
               SELECT FROM booking_cells o
                WHERE o.booking_id = b.booking_id AND o.cell_number <> %(cell_number)s
                  AND NOT o.finished)"""
    params = {
        "cabinet_id": cabinet_id,
        "cell_number": cell_number,
        "accumulator_id": accumulator_id,
        "charge": charge,
        **inserted,
        "complete": ["inserted", "released"],
        "some": states.BOOKING.move("some_inserted")["target"],
        "all": states.BOOKING.move("all_inserted")["target"],
    }
    tx.execute(sql, params)
