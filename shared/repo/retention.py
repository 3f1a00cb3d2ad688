"""What is removed when it is old, unless something present points to it; the ledger's months."""

from shared import states
from shared.db import Row, Tx

# A command `c` that nothing has settled, or that a person still has to look at, or that opened a
# door which has not been seen closed since.
_IS_OPEN = """
       c.status = ANY (%(in_doubt)s)
       OR c.status = 'unresolved' AND EXISTS (
          SELECT FROM cells x
           WHERE x.cabinet_id = c.cabinet_id AND x.health_reason = 'unresolved'
             AND c.payload -> 'cells' @> to_jsonb(x.cell_number))
       OR EXISTS (SELECT FROM cells x WHERE x.opened_by = c.command_id)"""

# How an accumulator `a` that is in no cell has left its last one: evidence may correct that.
_LEFT = """
          CROSS JOIN LATERAL (
                SELECT m.booking_id, m.command_id FROM movements m
                 WHERE m.accumulator_id = a.accumulator_id
                   AND m.cause NOT IN ('swapped', 'transferred')
                 ORDER BY m.movement_id DESC LIMIT 1) m
          WHERE a.cabinet_id IS NULL AND a.status <> 'retired'"""

_IN_DOUBT = [*states.COMMAND_IN_FLIGHT, "no_answer"]


def remove_bookings(tx: Tx, *, days: int, limit: int) -> int:
    """Delete up to `limit` bookings that ended before `days`, with their commands; return how many.

    A booking stays as long as one of its commands is open, or an accumulator is out because of it.
    """
    sql = f"""
        DELETE FROM bookings WHERE booking_id = ANY (ARRAY (
            SELECT b.booking_id FROM bookings b
             WHERE b.created_at < now() - make_interval(days => %(days)s)
               AND b.finished_at < now() - make_interval(days => %(days)s)
               AND NOT EXISTS (SELECT FROM commands c
                                WHERE c.booking_id = b.booking_id AND ({_IS_OPEN}))
               AND NOT EXISTS (SELECT FROM booking_cells h
                                 JOIN accumulators a USING (accumulator_id)
                               {_LEFT} AND h.booking_id = b.booking_id
                                       AND m.booking_id = b.booking_id)
             ORDER BY b.created_at
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED))"""  # noqa: S608 - constants
    return tx.execute(sql, {"days": days, "limit": limit, "in_doubt": _IN_DOUBT})


def remove_commands(tx: Tx, *, days: int, limit: int) -> int:
    """Delete up to `limit` commands without a booking, as `remove_bookings`; return how many."""
    sql = f"""
        DELETE FROM commands WHERE command_id = ANY (ARRAY (
            SELECT c.command_id FROM commands c
             WHERE c.created_at < now() - make_interval(days => %(days)s)
               AND c.booking_id IS NULL AND c.cabinet_id IS NOT NULL
               AND NOT ({_IS_OPEN})
               AND NOT EXISTS (SELECT FROM jsonb_array_elements(c.result) r
                                 JOIN accumulators a ON a.accumulator_id = r ->> 'accumulator_id'
                               {_LEFT} AND m.command_id = c.command_id)
             ORDER BY c.created_at
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED))"""  # noqa: S608 - constants
    return tx.execute(sql, {"days": days, "limit": limit, "in_doubt": _IN_DOUBT})


def add_months(tx: Tx, *, ahead: int) -> int:
    """Make the ledger's parts for this month and the next ones; return how many were missing."""
    return int(tx.one("SELECT add_movement_partitions(%(n)s) AS n", {"n": ahead})["n"])


def erasures(tx: Tx) -> list[str]:
    """Return the contractors whose erasure is not finished."""
    sql = "SELECT contractor_id FROM contractor_pseudonyms WHERE erase_before IS NOT NULL"
    return [row["contractor_id"] for row in tx.all(sql)]


def begin_erasure(tx: Tx, contractor_id: str) -> None:
    """Store that everything written so far about a contractor is to be erased."""
    sql = """
        INSERT INTO contractor_pseudonyms AS p (contractor_id, erase_before)
        VALUES (%(id)s, now())
        ON CONFLICT (contractor_id) DO UPDATE
           SET erase_before = coalesce(p.erase_before, excluded.erase_before)"""
    tx.execute(sql, {"id": contractor_id})


def erase_some(tx: Tx, contractor_id: str) -> bool:
    """Erase a batch of what is stored about a contractor; False when nothing is left."""
    return bool(tx.one("SELECT erase_some(%(id)s) AS more", {"id": contractor_id})["more"])


def in_use(tx: Tx, contractor_id: str) -> Row:
    """Return how many accumulators, unfinished bookings and open commands a contractor has."""
    sql = f"""
        SELECT (SELECT count(*) FROM accumulators WHERE contractor_id = %(id)s) AS held,
               (SELECT count(*) FROM bookings
                 WHERE contractor_id = %(id)s AND finished_at IS NULL) AS bookings,
               (SELECT count(*) FROM commands c
                 WHERE c.contractor_id = %(id)s AND ({_IS_OPEN})) AS commands"""  # noqa: S608 - constant
    return tx.one(sql, {"id": contractor_id, "in_doubt": _IN_DOUBT})


def is_known(tx: Tx, contractor_id: str) -> bool:
    """Whether anything is stored about a contractor."""
    sql = """
        SELECT EXISTS (SELECT FROM contractor_pseudonyms WHERE contractor_id = %(id)s)
            OR EXISTS (SELECT FROM bookings WHERE contractor_id = %(id)s)
            OR EXISTS (SELECT FROM commands WHERE contractor_id = %(id)s)
            OR EXISTS (SELECT FROM movements WHERE from_contractor_id = %(id)s)
            OR EXISTS (SELECT FROM movements WHERE to_contractor_id = %(id)s) AS known"""
    return bool(tx.one(sql, {"id": contractor_id})["known"])


def archive_of(tx: Tx, contractor_id: str) -> Row:
    """Return the archived months, and the contractor's pseudonym in them; None: in none."""
    sql = """
        SELECT (SELECT pseudonym FROM contractor_pseudonyms WHERE contractor_id = %(id)s)
               AS pseudonym,
               (SELECT coalesce(array_agg(to_char(month, 'YYYY-MM') ORDER BY month), '{}')
                  FROM archived_months) AS months"""
    return tx.one(sql, {"id": contractor_id})


# What is stored about a contractor: `number` is unique in its kind, and gives the order.
_RECORDS = {
    "accumulator": """
        SELECT accumulator_id::text AS number, to_jsonb(a) - 'moved_at' AS record
          FROM accumulators a WHERE contractor_id = %(id)s""",
    "booking": """
        SELECT booking_id::text AS number, to_jsonb(b) || jsonb_build_object('cells', (
                   SELECT jsonb_agg(to_jsonb(h) - 'booking_id' - 'cabinet_id' ORDER BY cell_number)
                     FROM booking_cells h WHERE h.booking_id = b.booking_id)) AS record
          FROM bookings b WHERE contractor_id = %(id)s""",
    "command": """
        SELECT command_id::text AS number, to_jsonb(c) AS record FROM commands c
         WHERE contractor_id = %(id)s
            OR booking_id IN (SELECT booking_id FROM bookings WHERE contractor_id = %(id)s)""",
    "movement": """
        SELECT lpad(movement_id::text, 19, '0') AS number, to_jsonb(m) AS record
          FROM (SELECT * FROM movements WHERE from_contractor_id = %(id)s
                UNION SELECT * FROM movements WHERE to_contractor_id = %(id)s) m""",
    "anomaly": """
        SELECT lpad(anomaly_id::text, 19, '0') AS number, to_jsonb(a) - 'payload' AS record
          FROM anomalies a
         WHERE strpos(detail, %(id)s) > 0 AND renamed(detail, %(id)s, '') <> detail""",
}
KINDS = [*_RECORDS]
"""Of records, in the order in which they are exported."""


def records(tx: Tx, contractor_id: str, kind: str, *, after: str, limit: int) -> list[Row]:
    """Return the records of a kind that follow the number `after`, in order: number, record."""
    sql = f"""
        SELECT number, record FROM ({_RECORDS[kind]}) r
         WHERE number COLLATE "C" > %(after)s
         ORDER BY number COLLATE "C" LIMIT %(limit)s"""  # noqa: S608 - constants
    return tx.all(sql, {"id": contractor_id, "after": after, "limit": limit})
