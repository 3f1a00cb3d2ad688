"""Commands: what was sent, and what became of it."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from shared.db import Row, Tx

LOOKS = 200
"""Every 5 ms, by one statement that waits."""

_COLUMNS = """command_id, cabinet_id, kind, payload, booking_id, status, reason, result, created_at,
       deadline, published_at, finished_at, late, inferred"""

_GET = f"""
    SELECT {_COLUMNS}, extract(epoch FROM deadline - now())::float8 AS seconds_left
      FROM commands
     WHERE command_id = %(command_id)s"""  # noqa: S608 - the columns are a constant


def insert(tx: Tx, row: dict[str, Any], *, wait_seconds: float) -> None:
    """A pending command.

    `row`: command_id, cabinet_id (None: all), kind, payload, booking_id, requested_by, reason.
    """
    sql = """
        INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, requested_by,
                              reason, deadline)
        VALUES (%(command_id)s, %(cabinet_id)s, %(kind)s, %(payload)s, %(booking_id)s,
                %(requested_by)s, %(reason)s, now() + make_interval(secs => %(wait)s))"""
    tx.write(sql, {**row, "wait": wait_seconds})


def get(tx: Tx, command_id: UUID) -> Row | None:
    """A command, and how many seconds its answer may still take."""
    return tx.first(_GET, {"command_id": command_id})


def wait(tx: Tx, command_id: UUID) -> Row | None:
    """As `get`, soon after the command is settled or its deadline has passed, or after a second.

    The looking is done inside the database: one message, however often it looks.
    """
    sql = f"""
        DO $wait$ BEGIN
            FOR look IN 1..%(looks)s LOOP
                EXIT WHEN NOT EXISTS (
                    SELECT FROM commands
                     WHERE command_id = %(command_id)s AND status IN ('pending', 'published')
                       AND deadline > clock_timestamp());
                PERFORM pg_sleep(0.005);
            END LOOP;
        END $wait$;
        {_GET}"""
    return tx.first(sql, {"command_id": command_id, "looks": LOOKS})


def publish(tx: Tx, command_id: UUID) -> None:
    """It has been handed to the queue. Its answer may have been here before."""
    sql = """
        UPDATE commands
           SET published_at = now(),
               status = CASE status WHEN 'pending' THEN 'published' ELSE status END
         WHERE command_id = %(command_id)s"""
    tx.execute(sql, {"command_id": command_id})


def settle(tx: Tx, command_id: UUID, *, status: str, since: Collection[str]) -> bool:
    """Move a command from one of the statuses `since`; False if it is in none of them."""
    sql = """
        UPDATE commands SET status = %(status)s, finished_at = now()
         WHERE command_id = %(command_id)s AND status = ANY (%(since)s)"""
    params = {"command_id": command_id, "status": status, "since": [*since]}
    return tx.execute(sql, params) > 0


def give_up(tx: Tx, command_id: UUID) -> bool:
    """The deadline has passed without an answer: `no_answer`, unless it was settled meanwhile."""
    sql = """
        UPDATE commands SET status = 'no_answer'
         WHERE command_id = %(command_id)s AND status IN ('pending', 'published')
           AND deadline <= now()"""
    return tx.execute(sql, {"command_id": command_id}) > 0


def give_up_overdue(tx: Tx) -> int:
    """The same for those whose function died while it waited; how many."""
    sql = """
        UPDATE commands SET status = 'no_answer'
         WHERE status IN ('pending', 'published') AND deadline < now() - interval '10 seconds'"""
    return tx.execute(sql)


def past_reconciling(tx: Tx, reconcile_seconds: float) -> list[Row]:
    """Commands without an answer whose time for evidence is over."""
    sql = """
        SELECT command_id, cabinet_id FROM commands
         WHERE status = 'no_answer' AND cabinet_id IS NOT NULL
           AND deadline <= now() - make_interval(secs => %(seconds)s)
         ORDER BY cabinet_id, created_at"""
    return tx.all(sql, {"seconds": reconcile_seconds})


def prune_polls(tx: Tx) -> int:
    """Forget polls older than a day; how many."""
    sql = "DELETE FROM commands WHERE cabinet_id IS NULL AND created_at < now() - interval '1 day'"
    return tx.execute(sql)


def in_doubt(tx: Tx, cabinet_ids: Collection[str], command_ids: Collection[UUID]) -> list[Row]:
    """Commands that evidence may settle, and those named, oldest first."""
    sql = f"""
        SELECT {_COLUMNS} FROM commands
         WHERE (cabinet_id = ANY (%(cabinet_ids)s) AND payload ? 'cells'
                AND status IN ('pending', 'published', 'no_answer', 'unresolved'))
            OR command_id = ANY (%(command_ids)s::uuid[])
         ORDER BY created_at, command_id"""  # noqa: S608 - the columns are a constant
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids], "command_ids": [*command_ids]})


def save(tx: Tx, rows: list[Row]) -> None:
    """What messages did to commands; whoever waits may have given one up in the meantime."""
    sql = """
        UPDATE commands c
           SET status = t.status, reason = coalesce(t.reason, c.reason), result = t.result,
               late = t.late OR (NOT t.inferred AND c.status = 'no_answer'),
               inferred = t.inferred, finished_at = now()
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (command_id uuid, status text, reason text, result jsonb, late boolean,
                     inferred boolean)
         WHERE c.command_id = t.command_id"""
    tx.write_batch(sql, rows)
