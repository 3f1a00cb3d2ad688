"""Webhooks, and how far their deliveries are."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from shared import states
from shared.db import Row, Tx

LEASE_SECONDS = 30
"""Longer than an attempt takes: each one that succeeds extends the lease."""

_DESCRIBE = """
    SELECT w.webhook_id, w.url, w.types, w.cabinet_ids, w.status, w.status_reason, w.created_at,
           w.requested_by, w.secret_generation, w.last_attempt_at, w.last_status_code, w.last_error,
           w.failures AS consecutive_failures,
           CASE WHEN w.failures > 0 AND w.status = 'active'
                THEN w.next_attempt_at END AS next_attempt_at,
           CASE WHEN w.rotated_at + make_interval(hours => %(overlap)s) > now()
                THEN w.rotated_at + make_interval(hours => %(overlap)s)
                END AS previous_secret_until,
           (SELECT e.at FROM events e WHERE e.position > w.position
             ORDER BY e.position LIMIT 1) AS oldest_undelivered_at
      FROM webhooks w"""


def lock_all(tx: Tx) -> None:
    """Let nobody else make a webhook until the transaction ends."""
    tx.execute("LOCK TABLE webhooks IN SHARE ROW EXCLUSIVE MODE")


def count(tx: Tx) -> int:
    """Return how many webhooks there are."""
    n: int = tx.one("SELECT count(*) AS n FROM webhooks")["n"]
    return n


def insert(tx: Tx, row: Row) -> None:
    """Insert a webhook: webhook_id, url, types, cabinet_ids. It starts at the end of the feed."""
    sql = """
        INSERT INTO webhooks (webhook_id, url, types, cabinet_ids, position)
        SELECT %(webhook_id)s, %(url)s, %(types)s, %(cabinet_ids)s, position FROM feed"""
    tx.execute(sql, row)


def describe(tx: Tx, *, overlap_hours: int) -> list[Row]:
    """Return all webhooks as the API shows them, oldest first."""
    sql = f"{_DESCRIBE} ORDER BY w.created_at, w.webhook_id"
    return tx.all(sql, {"overlap": overlap_hours})


def get(tx: Tx, webhook_id: UUID, *, overlap_hours: int) -> Row | None:
    """Return one webhook as the API shows it."""
    sql = f"{_DESCRIBE} WHERE w.webhook_id = %(webhook_id)s"
    return tx.first(sql, {"webhook_id": webhook_id, "overlap": overlap_hours})


def lock(tx: Tx, webhook_id: UUID) -> Row | None:
    """Lock a webhook; return its status."""
    sql = "SELECT status FROM webhooks WHERE webhook_id = %(webhook_id)s FOR UPDATE"
    return tx.first(sql, {"webhook_id": webhook_id})


def update(tx: Tx, webhook_id: UUID, changes: Row) -> None:
    """Change the fields that `changes` names: url, types, cabinet_ids; record who does."""
    sql = """
        UPDATE webhooks
           SET requested_by = caller(), url = coalesce(%(url)s, url),
               types = CASE WHEN %(sets_types)s THEN %(types)s::text[] ELSE types END,
               cabinet_ids = CASE WHEN %(sets_cabinet_ids)s THEN %(cabinet_ids)s::text[]
                                  ELSE cabinet_ids END
         WHERE webhook_id = %(webhook_id)s"""
    given = {name: changes.get(name) for name in ("url", "types", "cabinet_ids")}
    sets = {f"sets_{name}": name in changes for name in ("types", "cabinet_ids")}
    tx.execute(sql, {**given, **sets, "webhook_id": webhook_id})


def rotate(tx: Tx, webhook_id: UUID) -> None:
    """Give a webhook its next secret."""
    sql = """
        UPDATE webhooks SET secret_generation = secret_generation + 1, rotated_at = now()
         WHERE webhook_id = %(webhook_id)s"""
    tx.execute(sql, {"webhook_id": webhook_id})


def start_again(tx: Tx, webhook_id: UUID) -> None:
    """Forget the failures, and end the lease of whoever delivers now."""
    sql = """
        UPDATE webhooks
           SET failures = 0, failing_since = NULL, next_attempt_at = now(), lease = NULL,
               leased_until = '-infinity'
         WHERE webhook_id = %(webhook_id)s"""
    tx.execute(sql, {"webhook_id": webhook_id})


def move(tx: Tx, webhook_id: UUID, event: str, reason: str | None) -> bool:
    """Pause or resume a webhook; False if its status does not allow `event`."""
    sql = """
        UPDATE webhooks
           SET status = %(target)s, status_reason = %(reason)s, lease = NULL,
               leased_until = '-infinity'
         WHERE webhook_id = %(webhook_id)s AND status = ANY (%(sources)s)"""
    params = {"webhook_id": webhook_id, "reason": reason, **states.WEBHOOK.move(event)}
    return tx.execute(sql, params) > 0


def delete(tx: Tx, webhook_id: UUID) -> bool:
    """Delete a webhook; False if there is none."""
    sql = "DELETE FROM webhooks WHERE webhook_id = %(webhook_id)s"
    return tx.execute(sql, {"webhook_id": webhook_id}) > 0


# --- Deliveries -------------------------------------------------------------------------------


def any_active(tx: Tx) -> bool:
    """Whether there is a webhook that is not paused."""
    sql = "SELECT EXISTS (SELECT FROM webhooks WHERE status = 'active') AS found"
    return bool(tx.one(sql)["found"])


def claim(tx: Tx, lease: UUID, *, busy: Collection[UUID], overlap_hours: int) -> list[Row]:
    """Lease the webhooks that are due and that nobody delivers to; return them.

    `busy`: to which the caller still sends under a lease that was ended.
    """
    sql = """
        UPDATE webhooks w
           SET lease = %(lease)s, leased_until = now() + make_interval(secs => %(seconds)s)
         WHERE w.webhook_id = ANY (ARRAY (
                   SELECT c.webhook_id FROM webhooks c
                    WHERE c.status = 'active' AND c.next_attempt_at <= now()
                      AND c.leased_until <= now() AND c.webhook_id <> ALL (%(busy)s::uuid[])
                      AND EXISTS (SELECT FROM events e WHERE e.position > c.position)
                    ORDER BY c.webhook_id
                      FOR UPDATE SKIP LOCKED))
        RETURNING w.webhook_id, w.url, w.types, w.cabinet_ids, w.position, w.secret_generation,
                  w.failures, coalesce(w.rotated_at + make_interval(hours => %(overlap)s) > now(),
                                       false) AS is_rotating,
                  coalesce(extract(epoch FROM now() - w.failing_since), 0)::float8
                      AS failing_seconds"""
    params = {
        "lease": lease,
        "busy": [*busy],
        "seconds": LEASE_SECONDS,
        "overlap": overlap_hours,
    }
    return tx.all(sql, params)


def advance(tx: Tx, lease: UUID, rows: Sequence[Row]) -> set[UUID]:
    """Record deliveries: webhook_id, position, status_code. Return whose lease is still valid."""
    sql = """
        UPDATE webhooks w
           SET position = t.position, last_attempt_at = now(), last_status_code = t.status_code,
               last_error = NULL, failures = 0, failing_since = NULL,
               leased_until = now() + make_interval(secs => %(seconds)s)
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (webhook_id uuid, position bigint, status_code integer)
         WHERE w.webhook_id = t.webhook_id AND w.lease = %(lease)s
        RETURNING w.webhook_id"""
    found = tx.batch(sql, rows, lease=lease, seconds=LEASE_SECONDS)
    return {row["webhook_id"] for row in found}


def skip(tx: Tx, lease: UUID, webhook_id: UUID, position: int) -> None:
    """Pass over events that the webhook does not want."""
    sql = """
        UPDATE webhooks SET position = %(position)s
         WHERE webhook_id = %(webhook_id)s AND lease = %(lease)s"""
    tx.execute(sql, {"position": position, "webhook_id": webhook_id, "lease": lease})


def fail(tx: Tx, lease: UUID, row: Row) -> bool:
    """Record a failed attempt: webhook_id, status_code, error, pause_seconds.

    Return whether the lease is still valid.
    """
    sql = """
        UPDATE webhooks
           SET last_attempt_at = now(), last_status_code = %(status_code)s,
               last_error = %(error)s, failures = failures + 1,
               failing_since = coalesce(failing_since, now()),
               next_attempt_at = now() + make_interval(secs => %(pause_seconds)s)
         WHERE webhook_id = %(webhook_id)s AND lease = %(lease)s"""
    return tx.execute(sql, {**row, "lease": lease}) > 0


def release(tx: Tx, lease: UUID, webhook_ids: Collection[UUID]) -> None:
    """End the lease of these webhooks."""
    sql = """
        UPDATE webhooks SET lease = NULL, leased_until = '-infinity'
         WHERE lease = %(lease)s AND webhook_id = ANY (%(webhook_ids)s)"""
    tx.execute(sql, {"lease": lease, "webhook_ids": [*webhook_ids]})


def lags(tx: Tx) -> list[dict[str, Any]]:
    """Return for each webhook that is not paused: webhook_id, seconds since its oldest event."""
    sql = """
        SELECT w.webhook_id, coalesce(extract(epoch FROM now() - (
                   SELECT e.at FROM events e WHERE e.position > w.position
                    ORDER BY e.position LIMIT 1)), 0)::float8 AS seconds
          FROM webhooks w
         WHERE w.status = 'active'
         ORDER BY w.webhook_id"""
    return tx.all(sql)
