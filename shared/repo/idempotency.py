"""Idempotency keys: requests that must not run twice, and their stored responses."""

from uuid import UUID

from shared.db import Row, Tx


def claim(tx: Tx, key: Row, *, claim_seconds: float, keep_hours: int) -> UUID | None:
    """Claim the key for this request if it is new or expired, or if its claim has run out.

    `key`: caller, route, key, fingerprint. Return the id for what the request creates; None if
    another request has the key.
    """
    sql = """
        INSERT INTO idempotency_keys AS k
               (caller, route, key, fingerprint, request_id, claimed_until)
        VALUES (%(caller)s, %(route)s, %(key)s, %(fingerprint)s, gen_random_uuid(),
                now() + make_interval(secs => %(seconds)s))
        ON CONFLICT (caller, route, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, claimed_until = excluded.claimed_until,
               request_id = CASE WHEN k.created_at < now() - make_interval(hours => %(hours)s)
                                 THEN excluded.request_id ELSE k.request_id END,
               created_at = CASE WHEN k.created_at < now() - make_interval(hours => %(hours)s)
                                 THEN now() ELSE k.created_at END,
               status = NULL, body = NULL
         WHERE k.created_at < now() - make_interval(hours => %(hours)s)
            OR (k.status IS NULL AND k.claimed_until < now()
                AND k.fingerprint = excluded.fingerprint)
        RETURNING request_id"""
    row = tx.first(sql, {**key, "seconds": claim_seconds, "hours": keep_hours})
    return row["request_id"] if row else None


def find(tx: Tx, key: Row) -> Row | None:
    """Return the key's fingerprint, and status and body once there is a response."""
    sql = """
        SELECT fingerprint, status, body FROM idempotency_keys
         WHERE caller = %(caller)s AND route = %(route)s AND key = %(key)s"""
    return tx.first(sql, key)


def store(tx: Tx, key: Row, *, status: int, body: str) -> None:
    """Store the final response."""
    sql = """
        UPDATE idempotency_keys SET status = %(status)s, body = %(body)s
         WHERE caller = %(caller)s AND route = %(route)s AND key = %(key)s"""
    tx.execute(sql, {**key, "status": status, "body": body})


def release(tx: Tx, key: Row, *, undone: bool) -> None:
    """End the claim, since there is no final response to store.

    `undone`: this request had no effect, so that the next one gets a new id.
    """
    sql = """
        UPDATE idempotency_keys
           SET claimed_until = '-infinity',
               request_id = CASE WHEN %(undone)s THEN gen_random_uuid() ELSE request_id END
         WHERE caller = %(caller)s AND route = %(route)s AND key = %(key)s AND status IS NULL"""
    tx.execute(sql, {**key, "undone": undone})


def prune(tx: Tx, *, hours: int, limit: int) -> int:
    """Delete up to `limit` keys that are older than `hours`; return how many."""
    sql = """
        DELETE FROM idempotency_keys
         WHERE ctid = ANY (ARRAY (
               SELECT ctid FROM idempotency_keys
                WHERE created_at < now() - make_interval(hours => %(hours)s)
                ORDER BY created_at
                LIMIT %(limit)s
                  FOR UPDATE SKIP LOCKED))"""
    return tx.execute(sql, {"hours": hours, "limit": limit})
