"""Claims: movements of accumulators that others held, by the word of the cabinet they moved into.

The ledger marks them by their `reason`.
"""

from collections.abc import Collection
from datetime import datetime

from shared.db import Row, Tx

CLAIMED = "claimed"
"""Another place had it, and nothing explains how it came here."""
CONTRADICTED = "contradicted"
"""So did another cabinet's closed cell, which still reports it."""
CLEARED = "cleared"
"""It was held back, and an operator has cleared the cabinet."""
TAKEN_BACK = "taken_back"
"""Another cabinet's claim had taken it from this one."""

REASONS = (CLAIMED, CONTRADICTED, CLEARED, TAKEN_BACK)

_CAUSES = "cause IN ('reported', 'returned')"  # a person's reason may be any word


def recent(tx: Tx, cabinet_ids: Collection[str]) -> dict[str, set[str]]:
    """Return the accumulators that count as claimed lately, by the cabinet that claimed them.

    Those of the last hour count, and of the last 24 hours those that another cell contradicts:
    these are never ordinary. Claims before an operator cleared the cabinet do not count.
    """
    sql = f"""
        SELECT c.cabinet_id, array_agg(DISTINCT m.accumulator_id::text) AS accumulator_ids
          FROM cabinets c
          JOIN movements m ON m.to_cabinet_id = c.cabinet_id
         WHERE c.cabinet_id = ANY (%(cabinet_ids)s) AND {_CAUSES}
           AND m.reason IN ('claimed', 'contradicted')
           AND m.at > greatest(now() - interval '24 hours', c.cleared_at)
           AND (m.reason = 'contradicted' OR m.at > now() - interval '1 hour')
         GROUP BY c.cabinet_id"""  # noqa: S608 - a constant
    rows = tx.all(sql, {"cabinet_ids": [*cabinet_ids]})
    return {row["cabinet_id"]: set(row["accumulator_ids"]) for row in rows}


def sources(tx: Tx, accumulator_ids: Collection[str]) -> dict[str, str]:
    """Return the cabinets from which a claim has taken accumulators that have not moved since."""
    sql = f"""
        SELECT given.accumulator_id, m.from_cabinet_id
          FROM unnest(%(ids)s::text[]) AS given (accumulator_id)
         CROSS JOIN LATERAL (
               SELECT * FROM movements
                WHERE movements.accumulator_id = given.accumulator_id
                ORDER BY movement_id DESC
                LIMIT 1) m
         WHERE m.from_cabinet_id IS NOT NULL AND m.reason = ANY (%(reasons)s)
           AND {_CAUSES}"""  # noqa: S608 - a constant
    rows = tx.all(sql, {"ids": [*accumulator_ids], "reasons": [*REASONS]})
    return {row["accumulator_id"]: row["from_cabinet_id"] for row in rows}


def since(tx: Tx, cabinet_id: str, time: datetime, *, limit: int) -> list[Row]:
    """Return the first claim on each accumulator that the cabinet has claimed since, oldest first.

    Each with whether it `is_quarantined` by that claim, and nobody said more about its status; and
    whether it `has_moved` since by anything but this cabinet's reports.
    """
    sql = f"""
        SELECT first.*,
               a.status = 'quarantined' AND first.reason = 'contradicted'
                   AND a.status_since = first.at AND a.created_at < first.at AS is_quarantined,
               EXISTS (SELECT FROM movements n
                        WHERE n.accumulator_id = first.accumulator_id
                          AND n.movement_id > first.movement_id
                          AND NOT (n.cause = 'reported'
                                   AND coalesce(n.to_cabinet_id, n.from_cabinet_id)
                                       = %(cabinet_id)s)) AS has_moved
          FROM (SELECT DISTINCT ON (accumulator_id)
                       movement_id, accumulator_id, at, reason, from_cabinet_id,
                       from_cell_number, from_contractor_id, from_scooter_id
                  FROM movements
                 WHERE to_cabinet_id = %(cabinet_id)s AND at >= %(since)s
                   AND reason IN ('claimed', 'contradicted', 'cleared', 'taken_back')
                   AND {_CAUSES}
                 ORDER BY accumulator_id, movement_id) first
          JOIN accumulators a USING (accumulator_id)
         ORDER BY first.movement_id
         LIMIT %(limit)s"""  # noqa: S608 - a constant
    return tx.all(sql, {"cabinet_id": cabinet_id, "since": time, "limit": limit})
