"""Anomalies: messages that could not be applied, and unexpected facts, each with its message."""

from collections.abc import Sequence

from shared.db import Row, Tx

MAX_KINDS = 1000
"""Rows that one device can have for one reason; whatever else it sends is counted together."""


def add(tx: Tx, rows: Sequence[Row]) -> list[Row]:
    """Add anomalies: reason, detail, device_id, cabinet_id, event_id, payload (base64).

    An anomaly that a device repeats is counted on one row, which keeps the last message. A
    redelivered message is not counted. `cabinet_id` is NULL if the cabinet was removed meanwhile.
    Return the anomalies that are new.
    """
    sql = """
        WITH given AS (
            SELECT t.reason, t.device_id, t.event_id, t.payload, t.count,
                   (SELECT c.cabinet_id FROM cabinets c
                     WHERE c.cabinet_id = t.cabinet_id FOR KEY SHARE) AS cabinet_id,
                   CASE WHEN NOT EXISTS (SELECT FROM anomalies a
                                          WHERE a.counted AND a.device_id = t.device_id
                                            AND a.reason = t.reason AND a.detail = t.detail)
                         AND (SELECT count(*) FROM anomalies a
                               WHERE a.counted AND a.device_id = t.device_id
                                 AND a.reason = t.reason) >= %(kinds)s
                        THEN 'more than ' || %(kinds)s || ' different ones'
                        ELSE t.detail END AS detail
              FROM jsonb_to_recordset(%(rows)s::jsonb)
                   AS t (reason text, detail text, device_id text, cabinet_id text, event_id text,
                         payload text, count integer)
             WHERE NOT EXISTS (SELECT FROM anomalies a  -- by the release before this one
                                WHERE NOT a.counted AND a.event_id = t.event_id
                                  AND a.reason = t.reason AND a.detail = t.detail))
        INSERT INTO anomalies AS a
               (reason, detail, device_id, cabinet_id, event_id, payload, count, counted)
        SELECT DISTINCT ON (device_id, reason, detail)
               reason, detail, device_id, cabinet_id, event_id, decode(payload, 'base64'),
               sum(count) OVER (PARTITION BY device_id, reason, detail), true
          FROM given
         ORDER BY device_id, reason, detail
        ON CONFLICT (device_id, reason, detail) WHERE counted DO UPDATE
           SET at = now(), cabinet_id = excluded.cabinet_id, event_id = excluded.event_id,
               payload = excluded.payload,
               count = a.count + CASE WHEN a.event_id = excluded.event_id THEN 0
                                      ELSE excluded.count END
        RETURNING reason, detail, device_id, cabinet_id, event_id, xmax = 0 AS is_new"""
    params = {"kinds": MAX_KINDS}
    return [row for row in tx.batch(sql, _counted(rows), **params) if row.pop("is_new")]


def _counted(rows: Sequence[Row]) -> list[Row]:
    """Return a row for each different anomaly, with its last message, in the order of the keys.

    The order is that in which every transaction locks the rows.
    """
    counted: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = (row["device_id"], row["reason"], row["detail"])
        counted[key] = {**row, "count": counted.get(key, {"count": 0})["count"] + 1}
    return [counted[key] for key in sorted(counted)]


def prune(tx: Tx, *, days: int) -> int:
    """Delete anomalies that were last seen more than `days` ago; return how many."""
    sql = "DELETE FROM anomalies WHERE at < now() - make_interval(days => %(days)s)"
    return tx.execute(sql, {"days": days})
