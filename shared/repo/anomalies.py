"""Anomalies: messages that could not be applied, and unexpected facts, each with its message."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.db import Row, Tx

MAX_KINDS = 100
"""Rows that one device can have for one reason; whatever else it sends is counted together."""

BYTES_KEPT = 16_000
"""Bytes of a message that are kept: more than a report of 100 cells has."""

BYTES_SHOWN = 8000
"""Bytes of a message that are read to be shown."""

_SHOWN = f"""anomaly_id, reason, detail, cabinet_id, device_id, accumulator_id, first_at, at, count,
       open, acknowledged_at, acknowledged_by, acknowledged_note,
       substring(payload FOR {BYTES_SHOWN}) AS payload,
       coalesce(payload_bytes, octet_length(payload)) AS payload_bytes"""


def add(tx: Tx, rows: Sequence[Row]) -> list[Row]:
    """Add anomalies: reason, detail, device_id, cabinet_id, accumulator_id, event_id, payload.

    An anomaly that a device repeats is counted on one row, which keeps the last message and is open
    again. A redelivered message is not counted. `payload` is base64; its beginning is kept.
    `cabinet_id` is NULL if the cabinet was removed meanwhile.
    Return the anomalies that are new.
    """
    sql = """
        WITH sent AS (
            SELECT t.*, EXISTS (SELECT FROM anomalies a
                                 WHERE a.counted AND a.device_id = t.device_id
                                   AND a.reason = t.reason AND a.detail = t.detail) AS known
              FROM jsonb_to_recordset(%(rows)s::jsonb)
                   AS t (reason text, detail text, device_id text, cabinet_id text,
                         accumulator_id text, event_id text, payload text, count integer)
             WHERE NOT EXISTS (SELECT FROM anomalies a  -- by the release before this one
                                WHERE NOT a.counted AND a.event_id = t.event_id
                                  AND a.reason = t.reason AND a.detail = t.detail)),
        ranked AS (
            SELECT sent.*, NOT known AND %(kinds)s < (
                       SELECT count(*) FROM anomalies a
                        WHERE a.counted AND a.device_id = sent.device_id
                          AND a.reason = sent.reason)
                       + row_number() OVER (PARTITION BY device_id, reason, known ORDER BY detail)
                   AS beyond
              FROM sent),
        given AS (
            SELECT reason, device_id, event_id, decode(payload, 'base64') AS payload, count,
                   CASE WHEN NOT beyond THEN accumulator_id END AS accumulator_id,
                   (SELECT c.cabinet_id FROM cabinets c
                     WHERE c.cabinet_id = ranked.cabinet_id FOR KEY SHARE) AS cabinet_id,
                   CASE WHEN beyond THEN 'more than ' || %(kinds)s || ' different ones'
                        ELSE detail END AS detail
              FROM ranked)
        INSERT INTO anomalies AS a
               (reason, detail, device_id, cabinet_id, accumulator_id, event_id, payload,
                payload_bytes, count, counted)
        SELECT DISTINCT ON (device_id, reason, detail)
               reason, detail, device_id, cabinet_id, accumulator_id, event_id,
               substring(payload FOR %(kept)s), octet_length(payload),
               sum(count) OVER (PARTITION BY device_id, reason, detail), true
          FROM given
         ORDER BY device_id, reason, detail
        ON CONFLICT (device_id, reason, detail) WHERE counted DO UPDATE
           SET at = now(), cabinet_id = excluded.cabinet_id, event_id = excluded.event_id,
               payload = excluded.payload, payload_bytes = excluded.payload_bytes,
               accumulator_id = excluded.accumulator_id,
               open = a.open OR a.event_id <> excluded.event_id,
               count = a.count + CASE WHEN a.event_id = excluded.event_id THEN 0
                                      ELSE excluded.count END
        RETURNING reason, detail, device_id, cabinet_id, event_id, xmax = 0 AS is_new"""
    params = {"kinds": MAX_KINDS, "kept": BYTES_KEPT}
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


def prune(tx: Tx, *, days: int, limit: int) -> int:
    """Delete up to `limit` anomalies that were last seen more than `days` ago; return how many."""
    sql = """
        DELETE FROM anomalies WHERE anomaly_id = ANY (ARRAY (
            SELECT anomaly_id FROM anomalies
             WHERE open = ANY ('{true,false}')  -- the first column of the index
               AND at < now() - make_interval(days => %(days)s)
             LIMIT %(limit)s))"""
    return tx.execute(sql, {"days": days, "limit": limit})


def listing(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the anomalies that match, by their last time, newest first; one more than `limit`."""
    sql = f"""
        SELECT {_SHOWN}
          FROM unnest(%(open_or_not)s) AS s (state)
         CROSS JOIN LATERAL (
               SELECT * FROM anomalies
                WHERE open = s.state
                  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
                  AND (%(cabinet_id)s::text IS NULL OR cabinet_id = %(cabinet_id)s)
                  AND (%(accumulator_id)s::text IS NULL OR accumulator_id = %(accumulator_id)s)
                  AND (%(requested_by)s::text IS NULL OR acknowledged_by = %(requested_by)s)
                  AND (%(before_at)s::timestamptz IS NULL
                       OR (at, anomaly_id) < (%(before_at)s, %(before_id)s))
                ORDER BY at DESC, anomaly_id DESC
                LIMIT %(limit)s + 1) a
         ORDER BY at DESC, anomaly_id DESC
         LIMIT %(limit)s + 1"""  # noqa: S608 - the columns are a constant
    wanted = query["open"]
    return tx.all(sql, {**query, "open_or_not": [True, False] if wanted is None else [wanted]})


def get(tx: Tx, anomaly_id: int) -> Row | None:
    """Return one anomaly."""
    sql = f"SELECT {_SHOWN} FROM anomalies WHERE anomaly_id = %(id)s"  # noqa: S608 - constant
    return tx.first(sql, {"id": anomaly_id})


def acknowledge(tx: Tx, anomaly_id: int, *, by: str, note: str) -> bool:
    """Record who has seen an anomaly; False if it was acknowledged with this note, or is not there.

    One that has been repeated since is acknowledged again.
    """
    sql = """
        UPDATE anomalies
           SET open = false, acknowledged_at = now(), acknowledged_by = %(by)s,
               acknowledged_note = %(note)s
         WHERE anomaly_id = %(id)s AND (open OR acknowledged_note <> %(note)s)"""
    return tx.execute(sql, {"id": anomaly_id, "by": by, "note": note}) > 0
