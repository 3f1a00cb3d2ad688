"""Messages that could not be applied, kept whole, and facts that should not be."""

from collections.abc import Sequence

from shared.db import Row, Tx


def insert(tx: Tx, rows: Sequence[Row]) -> None:
    """Keep them: reason, detail, device_id, cabinet_id, event_id, payload (base64). Once each.

    A cabinet that has been removed in the meantime is not named.
    """
    sql = """
        INSERT INTO anomalies (reason, detail, device_id, cabinet_id, event_id, payload)
        SELECT reason, detail, device_id, (SELECT c.cabinet_id FROM cabinets c
                                            WHERE c.cabinet_id = t.cabinet_id FOR KEY SHARE),
               event_id, decode(payload, 'base64')
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (reason text, detail text, device_id text, cabinet_id text, event_id text,
                     payload text)
        ON CONFLICT (event_id, reason, detail) DO NOTHING"""
    tx.write_batch(sql, rows)


def prune(tx: Tx, *, days: int) -> int:
    """Forget those older than `days`; how many."""
    sql = "DELETE FROM anomalies WHERE at < now() - make_interval(days => %(days)s)"
    return tx.execute(sql, {"days": days})
