"""The feed of events. Triggers of the database write them (migration 0010)."""

from collections.abc import Mapping
from typing import Any

from shared.db import Row, Tx

MOST_AT_ONCE = 10_000
"""Events that one pass gives positions to, and positions that one page looks at."""
MAX_PAGE_BYTES = 1_000_000
"""Of the resources in a page: the platform limits a response to 2.5 MB, all escapes included."""


def sequence(tx: Tx) -> int | None:
    """Give positions to committed events, in order; return how many were given.

    None: another session is doing it. The positions become visible with the commit.
    """
    row = tx.one("SELECT sequence_events(%(most)s) AS given", {"most": MOST_AT_ONCE})
    given: int | None = row["given"]
    return given


def head(tx: Tx) -> Row:
    """Return the last position and its check: the id of the event there, or the empty feed's."""
    sql = """
        SELECT f.position, coalesce(e.event_id, f.feed_id) AS check_id
          FROM feed f
          LEFT JOIN events e USING (position)"""
    return tx.one(sql)


def after(tx: Tx, position: int, *, limit: int, conditions: Mapping[str, Any]) -> list[Row]:
    """Return the events after a position that meet the conditions, in order, then one last row.

    The last row has no type. Its `position` and `event_id` are where the page ends: at the last
    event returned if there are `limit`, or fewer because of MAX_PAGE_BYTES, else at the end of the
    feed or MOST_AT_ONCE further on.
    `check_id`, in each row: the check of the given position; None if that is not kept any more.
    """
    sql = """
        WITH span AS (
            SELECT least(f.position, %(position)s + %(most)s) AS final,
                   CASE WHEN %(position)s > 0 THEN (SELECT e.event_id FROM events e
                                                     WHERE e.position = %(position)s)
                        WHEN f.position = 0 OR EXISTS (SELECT FROM events e WHERE e.position = 1)
                        THEN f.feed_id END AS check_id
              FROM feed f),
        found AS (
            SELECT e.position, e.event_id, e.type, e.subject, e.cabinet_id, e.at, e.caused_by,
                   e.resource ->> 'event_requested_by' AS requested_by, e.resource
              FROM span
              JOIN events e ON e.position > %(position)s AND e.position <= span.final
             WHERE (%(types)s::text[] IS NULL OR e.type = ANY (%(types)s))
               AND (%(cabinet_ids)s::text[] IS NULL OR e.cabinet_id = ANY (%(cabinet_ids)s)
                    OR e.type = 'accumulator.moved'
                       AND e.resource ->> 'from_cabinet_id' = ANY (%(cabinet_ids)s))
               AND (%(requested_by)s::text IS NULL
                    OR e.resource ->> 'event_requested_by' = %(requested_by)s)
             ORDER BY e.position
             LIMIT %(limit)s),
        sized AS (
            SELECT position, sum(octet_length(resource::text)) OVER (ORDER BY position) AS bytes
              FROM found),
        page AS (
            SELECT f.*
              FROM found f
              JOIN sized s USING (position)
             WHERE s.bytes <= %(bytes)s OR f.position = (SELECT min(position) FROM found)),
        finish AS (
            SELECT CASE WHEN count(page.position) = %(limit)s
                          OR count(page.position) < (SELECT count(*) FROM found)
                        THEN max(page.position)
                        ELSE max(span.final) END AS position
              FROM span LEFT JOIN page ON true)
        SELECT page.*, span.check_id FROM page CROSS JOIN span
        UNION ALL
        SELECT finish.position, e.event_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, span.check_id
          FROM finish
         CROSS JOIN span
          LEFT JOIN events e ON e.position = finish.position
         ORDER BY position, type NULLS LAST"""
    bounds = {"limit": limit, "most": MOST_AT_ONCE, "bytes": MAX_PAGE_BYTES}
    return tx.all(sql, {"position": position, **bounds, **conditions})


def oldest(tx: Tx) -> int | None:
    """Return the lowest position that is kept; None if there are no events yet."""
    position: int | None = tx.one("SELECT min(position) AS position FROM events")["position"]
    return position


def prune(tx: Tx, *, limit: int) -> int:
    """Delete up to `limit` of the oldest events that are older than the retention; return how many.

    The positions that are left have no gap, and the feed's last event stays: cursors name it.
    """
    pruned: int = tx.one("SELECT prune_events(%(most)s) AS pruned", {"most": limit})["pruned"]
    return pruned


def store_retention(tx: Tx, *, days: int) -> None:
    """Store how long events are kept; only the owner may."""
    sql = "UPDATE feed SET keep_days = %(days)s WHERE keep_days <> %(days)s"
    tx.execute(sql, {"days": days})


def waiting_seconds(tx: Tx) -> float:
    """Return the age of the oldest committed event without a position; 0 if there is none."""
    sql = """
        SELECT coalesce(extract(epoch FROM now() - min(at)), 0)::float8 AS seconds
          FROM event_outbox"""
    return float(tx.one(sql)["seconds"])


def store_settings(tx: Tx, *, min_issue_charge: int, offline_after_seconds: float) -> None:
    """Store the settings that the resource of a cabinet's event depends on."""
    sql = """
        UPDATE feed
           SET min_issue_charge = %(min_issue_charge)s,
               offline_after_seconds = %(offline_after_seconds)s
         WHERE (min_issue_charge, offline_after_seconds)
               IS DISTINCT FROM (%(min_issue_charge)s, %(offline_after_seconds)s)"""
    params = {
        "min_issue_charge": min_issue_charge,
        "offline_after_seconds": offline_after_seconds,
    }
    tx.execute(sql, params)
