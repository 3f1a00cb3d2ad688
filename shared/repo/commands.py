"""Commands to cabinets, and their outcomes."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from shared import states
from shared.db import Row, Tx

_COLUMNS = """command_id, cabinet_id, kind, payload, booking_id, contractor_id, status, reason,
       result, created_at, deadline, published_at, finished_at, late, inferred"""

_GET = f"""
    SELECT {_COLUMNS}, requested_by, written_status,
           extract(epoch FROM deadline - now())::float8 AS seconds_left
      FROM current_commands
     WHERE command_id = %(command_id)s"""  # noqa: S608 - the columns are a constant


def insert(tx: Tx, row: dict[str, Any], *, wait_seconds: float) -> None:
    """Insert a pending command.

    `row`: command_id, cabinet_id (None: all), kind, payload, booking_id, contractor_id,
    requested_by, reason.
    """
    sql = """
        INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, contractor_id,
                              requested_by, reason, deadline)
        VALUES (%(command_id)s, %(cabinet_id)s, %(kind)s, %(payload)s, %(booking_id)s,
                %(contractor_id)s, %(requested_by)s, %(reason)s,
                now() + make_interval(secs => %(wait)s))"""
    tx.queue(sql, {**row, "wait": wait_seconds})


def get(tx: Tx, command_id: UUID) -> Row | None:
    """Return a command, with the seconds left until its deadline.

    `status` is `no_answer` from the deadline on; `written_status` only after `time_out`.
    """
    return tx.first(_GET, {"command_id": command_id})


def seconds_left(tx: Tx, command_id: UUID) -> float | None:
    """Return the seconds until the deadline of a command in flight; None once it is settled.

    A thousand callers ask this once a second: planning the query of `get` would cost three times as
    much.
    """
    sql = """
        SELECT status, extract(epoch FROM deadline - now())::float8 AS seconds_left
          FROM commands
         WHERE command_id = %(command_id)s"""
    row = tx.first(sql, {"command_id": command_id})
    return row["seconds_left"] if row and row["status"] in states.COMMAND_IN_FLIGHT else None


def publish(tx: Tx, command_id: UUID) -> None:
    """Record that the command was handed to the broker; its result may have come already."""
    sql = """
        UPDATE commands
           SET published_at = now(),
               status = CASE WHEN status = ANY (%(sources)s) THEN %(target)s ELSE status END
         WHERE command_id = %(command_id)s"""
    tx.execute(sql, {"command_id": command_id, **states.COMMAND.move("published")})


def finish(tx: Tx, command_id: UUID, event: str) -> bool:
    """Move a command to a final status; False if its status does not allow `event`."""
    sql = """
        UPDATE commands SET status = %(target)s, finished_at = now()
         WHERE command_id = %(command_id)s AND status = ANY (%(sources)s)"""
    return tx.execute(sql, {"command_id": command_id, **states.COMMAND.move(event)}) > 0


def time_out(tx: Tx, command_id: UUID) -> bool:
    """Record that the deadline passed without a result; False if the command was settled."""
    sql = """
        UPDATE commands SET status = %(target)s
         WHERE command_id = %(command_id)s AND status = ANY (%(sources)s)
           AND deadline <= now()"""
    return tx.execute(sql, {"command_id": command_id, **states.COMMAND.move("timed_out")}) > 0


def time_out_overdue(tx: Tx) -> int:
    """Record the same for commands that nobody waits for; return how many."""
    sql = """
        UPDATE commands SET status = %(target)s
         WHERE status = ANY (%(sources)s) AND deadline <= now()"""
    return tx.execute(sql, states.COMMAND.move("timed_out"))


def past_reconcile_window(tx: Tx, reconcile_seconds: float) -> list[Row]:
    """Return unanswered commands that no evidence has settled within the window."""
    sql = """
        SELECT command_id, cabinet_id FROM commands
         WHERE status = ANY (%(sources)s) AND cabinet_id IS NOT NULL
           AND deadline <= now() - make_interval(secs => %(seconds)s)
         ORDER BY cabinet_id, created_at"""
    return tx.all(sql, {"seconds": reconcile_seconds, **states.COMMAND.move("window_passed")})


def prune_polls(tx: Tx) -> int:
    """Delete polls older than a day; return how many."""
    sql = "DELETE FROM commands WHERE cabinet_id IS NULL AND created_at < now() - interval '1 day'"
    return tx.execute(sql)


def report_in_flight(tx: Tx, cabinet_id: str, command_id: UUID) -> UUID | None:
    """Return a `report_state` that was sent after a command's deadline and is still in flight."""
    sql = """
        SELECT r.command_id FROM commands r, commands c
         WHERE r.cabinet_id = %(cabinet_id)s AND r.kind = 'report_state'
           AND r.status = ANY (%(in_flight)s) AND r.deadline > now()
           AND c.command_id = %(command_id)s AND r.created_at >= c.deadline
         ORDER BY r.created_at DESC LIMIT 1"""
    params = {
        "cabinet_id": cabinet_id,
        "command_id": command_id,
        "in_flight": [*states.COMMAND_IN_FLIGHT],
    }
    row = tx.first(sql, params)
    return row["command_id"] if row else None


def listing(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the commands to single cabinets that match, newest first; one more than `limit`."""
    page = """
           AND cabinet_id IS NOT NULL
           AND (%(cabinet_id)s::text IS NULL OR cabinet_id = %(cabinet_id)s)
           AND (%(booking_id)s::uuid IS NULL OR booking_id = %(booking_id)s)
           AND (%(kind)s::text IS NULL OR kind = %(kind)s)
           AND (%(requested_by)s::text IS NULL OR requested_by = %(requested_by)s)
           AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
           AND (%(before_at)s::timestamptz IS NULL
                OR (created_at, command_id) < (%(before_at)s, %(before_id)s))
         ORDER BY created_at DESC, command_id DESC
         LIMIT %(limit)s + 1"""
    # Each part follows an index. The second: those whose time-out is not written yet.
    sql = f"""
        (SELECT {_COLUMNS}, requested_by FROM current_commands
          WHERE (%(status)s::text IS NULL OR written_status = %(status)s AND (
                 %(status)s <> ALL (%(sources)s) OR deadline > now())){page})
        UNION ALL
        (SELECT {_COLUMNS}, requested_by FROM current_commands
          WHERE %(status)s = %(target)s AND written_status = ANY (%(sources)s)
            AND deadline <= now(){page})
         ORDER BY created_at DESC, command_id DESC
         LIMIT %(limit)s + 1"""  # noqa: S608 - constants
    return tx.all(sql, {**query, **states.COMMAND.move("timed_out")})


def correctable(
    tx: Tx, cabinet_ids: Collection[str], command_ids: Collection[UUID], reconcile_seconds: float
) -> list[Row]:
    """Return these cabinets' commands about cells that evidence may settle or correct.

    Those are the unsettled ones, and those created in the last `reconcile_seconds`, which are
    `is_recent`. Besides, return `command_ids`. Oldest first.
    """
    sql = f"""
        SELECT {_COLUMNS}, created_at > now() - make_interval(secs => %(window)s) AS is_recent
          FROM current_commands
         WHERE (cabinet_id = ANY (%(cabinet_ids)s) AND payload ? 'cells'
                AND written_status = ANY (%(unsettled)s))
            OR (cabinet_id = ANY (%(cabinet_ids)s) AND payload ? 'cells'
                AND created_at > now() - make_interval(secs => %(window)s))
            OR command_id = ANY (%(command_ids)s::uuid[])
         ORDER BY created_at, command_id"""  # noqa: S608 - the columns are a constant
    params = {
        "cabinet_ids": [*cabinet_ids],
        "command_ids": [*command_ids],
        "unsettled": [*states.COMMAND_UNSETTLED],
        "window": reconcile_seconds,
    }
    return tx.all(sql, params)


def save(tx: Tx, rows: list[Row]) -> None:
    """Save commands, whose statuses have moved through `states.COMMAND`.

    A command may have timed out since it was loaded: then its result is late.
    """
    sql = """
        UPDATE commands c
           SET status = t.status, reason = coalesce(t.reason, c.reason), result = t.result,
               late = t.late OR (NOT t.inferred AND c.status = 'no_answer'),
               inferred = t.inferred, finished_at = coalesce(c.finished_at, now())
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (command_id uuid, status text, reason text, result jsonb, late boolean,
                     inferred boolean)
         WHERE c.command_id = t.command_id"""
    tx.queue_batch(sql, rows)
