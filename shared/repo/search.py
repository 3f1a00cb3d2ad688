"""Searching for an id of any kind."""

from uuid import UUID

from shared.db import Row, Tx

# In the collation "C", in which the indexes are, `~` comes after all characters of ids.
_SQL = """
    SELECT kind, id
      FROM (
        SELECT 1 AS rank, 'cabinet' AS kind, cabinet_id::text AS id FROM cabinets
         WHERE cabinet_id = %(q)s OR device_id = %(q)s
        UNION ALL
        SELECT 2, 'accumulator', accumulator_id FROM accumulators
         WHERE accumulator_id = upper(%(q)s)
        UNION ALL
        SELECT 3, 'contractor', %(q)s
         WHERE EXISTS (SELECT FROM accumulators WHERE contractor_id = %(q)s)
            OR EXISTS (SELECT FROM bookings WHERE contractor_id = %(q)s)
            OR EXISTS (SELECT FROM movements WHERE from_contractor_id = %(q)s)
            OR EXISTS (SELECT FROM movements WHERE to_contractor_id = %(q)s)
        UNION ALL
        SELECT 4, 'scooter', %(q)s
         WHERE EXISTS (SELECT FROM accumulators WHERE scooter_id = %(q)s)
            OR EXISTS (SELECT FROM movements WHERE from_scooter_id = %(q)s)
            OR EXISTS (SELECT FROM movements WHERE to_scooter_id = %(q)s)
        UNION ALL
        SELECT 5, 'booking', booking_id::text FROM bookings WHERE booking_id = %(own_id)s
        UNION ALL
        SELECT 6, 'command', command_id::text FROM commands WHERE command_id = %(own_id)s
        UNION ALL
        (SELECT 7, 'cabinet', cabinet_id FROM cabinets
          WHERE cabinet_id COLLATE "C" BETWEEN %(q)s AND %(q)s || '~'
          ORDER BY cabinet_id COLLATE "C" LIMIT %(limit)s + 1)
        UNION ALL
        (SELECT 8, 'accumulator', accumulator_id FROM accumulators
          WHERE accumulator_id COLLATE "C" BETWEEN upper(%(q)s) AND upper(%(q)s) || '~'
          ORDER BY accumulator_id COLLATE "C" LIMIT %(limit)s + 1)) found
     GROUP BY kind, id
     ORDER BY min(rank), id COLLATE "C"
     LIMIT %(limit)s"""


def find(tx: Tx, q: str, own_id: UUID | None, *, limit: int) -> list[Row]:
    """Return kind and id of what has the id `q`, then of what begins with it.

    `own_id`: `q` as an id that the service gives, or None. A cabinet is also found by its device,
    an accumulator in any case.
    """
    return tx.all(_SQL, {"q": q, "own_id": own_id, "limit": limit})
