"""Bookings and their cells. The caller has locked the cabinet's row."""

from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared import states
from shared.db import Row, Tx

if TYPE_CHECKING:  # mqtt_trigger starts faster without the API's models
    from shared.models.bookings import BookingRequest

_BOOKING = """
    SELECT b.booking_id, b.cabinet_id, b.contractor_id, b.kind, b.requested, b.min_charge,
           b.created_at, b.expires_at, b.command_id, b.status, b.requested_by, b.cancelled_by,
           coalesce((
           SELECT jsonb_agg(jsonb_build_object(
                      'cell_number', h.cell_number, 'accumulator_id', h.accumulator_id,
                      'battery_charge', h.battery_charge, 'state', h.state, 'reason', h.reason)
                  ORDER BY h.cell_number)
             FROM booking_cells h
            WHERE h.booking_id = b.booking_id), '[]') AS cells
      FROM current_bookings b"""

_EXPIRE = """
        due AS (
            UPDATE bookings b
               SET status = c.status, finished_at = b.expires_at
              FROM current_bookings c
             WHERE b.cabinet_id = ANY (%(cabinet_ids)s)
               AND b.status = ANY (%(expirable)s) AND b.expires_at <= now()
               AND c.booking_id = b.booking_id AND c.status = ANY (%(expired)s)
            RETURNING b.booking_id),
        released AS (
            UPDATE booking_cells h
               SET state = %(released)s, reason = 'expired', finished = true
              FROM due
             WHERE h.booking_id = due.booking_id AND h.state = ANY (%(releasable)s)
               AND NOT h.finished)"""
_RELEASE = states.BOOKING_CELL.move("released")
_EXPIRY = {
    "expirable": states.BOOKING.move("expired")["sources"],
    # Which of the two is decided by the view, in which expiry counts before it is written.
    "expired": [states.BOOKING.move(event)["target"] for event in ("expired", "some_inserted")],
    "releasable": _RELEASE["sources"],
    "released": _RELEASE["target"],
}


def insert(
    tx: Tx, booking_id: UUID, request: "BookingRequest", *, min_charge: int, seconds: float
) -> Row | None:
    """Insert a booking that holds nothing yet; None if the id exists already.

    The cabinet's expired bookings are written in the same statement, so that their cells can be
    held.
    """
    sql = f"""
        WITH {_EXPIRE}
        INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, requested, min_charge,
                              expires_at)
        VALUES (%(booking_id)s, %(cabinet_id)s, %(contractor_id)s, %(kind)s, %(count)s,
                CASE WHEN %(kind)s = 'issue' THEN %(lowest)s END,
                now() + make_interval(secs => %(seconds)s))
        ON CONFLICT (booking_id) DO NOTHING
        RETURNING *"""  # noqa: S608 - the expiry is a constant
    params = {
        **request.model_dump(),
        **_EXPIRY,
        "cabinet_ids": [request.cabinet_id],
        "booking_id": booking_id,
        "lowest": min_charge,
        "seconds": seconds,
    }
    return tx.first(sql, params)


def hold(tx: Tx, booking_id: UUID, count: int) -> list[Row]:
    """Hold up to `count` more cells and return them.

    An issue holds the most charged accumulators, a return the first free cells.
    """
    sql = """
        INSERT INTO booking_cells AS h
               (booking_id, cabinet_id, cell_number, accumulator_id, battery_charge)
        SELECT b.booking_id, s.cabinet_id, s.cell_number, s.accumulator_id, s.battery_charge
          FROM bookings b
          JOIN stock s USING (cabinet_id)
         WHERE b.booking_id = %(booking_id)s
           AND CASE b.kind WHEN 'issue' THEN s.issuable AND s.battery_charge >= b.min_charge
                           ELSE s.free END
         ORDER BY s.battery_charge DESC, s.cell_number
         LIMIT %(count)s
        ON CONFLICT (booking_id, cell_number) DO UPDATE
           SET accumulator_id = excluded.accumulator_id, battery_charge = excluded.battery_charge,
               state = %(target)s, reason = NULL, finished = false
         WHERE h.state = ANY (%(sources)s)
        RETURNING cell_number, accumulator_id, battery_charge, state, reason"""
    params = {"booking_id": booking_id, "count": count, **states.BOOKING_CELL.move("held_again")}
    held = tx.all(sql, params)
    return sorted(held, key=itemgetter("cell_number"))


def release_unfit(tx: Tx, booking_id: UUID) -> list[int]:
    """Release the holds that cannot be opened now; return the numbers of the cells left."""
    sql = """
        WITH checked AS (
            SELECT h.cell_number,
                   CASE WHEN c.health <> 'ok' THEN c.health_reason
                        WHEN c.fault IS NOT NULL THEN c.fault
                        WHEN c.door <> 'closed' THEN 'door_' || c.door
                        WHEN b.kind = 'return' THEN
                            CASE WHEN c.content <> 'empty' OR a.accumulator_id IS NOT NULL
                                 THEN 'occupied' END
                        WHEN a.accumulator_id IS DISTINCT FROM h.accumulator_id
                          OR c.reported_id IS DISTINCT FROM h.accumulator_id THEN 'moved'
                        WHEN a.status <> 'in_service' THEN a.status
                        WHEN a.battery_charge IS NULL OR a.battery_charge < b.min_charge
                        THEN 'charge_too_low'
                   END AS reason
              FROM booking_cells h
              JOIN bookings b USING (booking_id)
              JOIN cells c ON (c.cabinet_id, c.cell_number) = (h.cabinet_id, h.cell_number)
              LEFT JOIN accumulators a
                ON (a.cabinet_id, a.cell_number) = (h.cabinet_id, h.cell_number)
             WHERE h.booking_id = %(booking_id)s AND NOT h.finished),
        released AS (
            UPDATE booking_cells h
               SET state = %(target)s, reason = checked.reason, finished = true
              FROM checked
             WHERE h.booking_id = %(booking_id)s AND h.cell_number = checked.cell_number
               AND checked.reason IS NOT NULL AND h.state = ANY (%(sources)s))
        SELECT cell_number FROM checked WHERE reason IS NULL ORDER BY cell_number"""
    return [row["cell_number"] for row in tx.all(sql, {"booking_id": booking_id, **_RELEASE})]


def set_command(tx: Tx, booking_id: UUID, command_id: UUID) -> None:
    """Record the newest unlock of a booking whose status it does not change."""
    sql = "UPDATE bookings SET command_id = %(command_id)s WHERE booking_id = %(booking_id)s"
    tx.queue(sql, {"booking_id": booking_id, "command_id": command_id})


def get(tx: Tx, booking_id: UUID) -> Row | None:
    """Return a booking as it is now, with its cells."""
    return tx.first(f"{_BOOKING} WHERE b.booking_id = %(booking_id)s", {"booking_id": booking_id})


def listing(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the bookings that match, newest first; one row more than `limit`."""
    sql = f"""{_BOOKING}
         WHERE (%(cabinet_id)s::text IS NULL OR b.cabinet_id = %(cabinet_id)s)
           AND (%(contractor_id)s::text IS NULL OR b.contractor_id = %(contractor_id)s)
           AND (%(requested_by)s::text IS NULL
                OR b.requested_by = %(requested_by)s OR b.cancelled_by = %(requested_by)s)
           AND (%(status)s::text IS NULL OR b.status = %(status)s)
           -- The same condition on the stored status, for which there is an index.
           AND (%(status)s::text IS NULL OR b.written_status = %(status)s
                OR %(status)s IN ('expired', 'partially_completed')
                   AND b.written_status IN ('active', 'returning'))
           AND (%(before_at)s::timestamptz IS NULL
                OR (b.created_at, b.booking_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
         ORDER BY b.created_at DESC, b.booking_id DESC
         LIMIT %(limit)s + 1"""
    return tx.all(sql, query)


def advance(tx: Tx, booking_id: UUID, event: str, *, command_id: UUID | None = None) -> None:
    """Move a booking from one unfinished status to the next; `command_id`: its new unlock."""
    sql = """
        UPDATE bookings SET status = %(target)s, command_id = coalesce(%(command_id)s, command_id)
         WHERE booking_id = %(booking_id)s AND status = ANY (%(sources)s)"""
    move = states.BOOKING.move(event)
    tx.queue(sql, {"booking_id": booking_id, "command_id": command_id, **move})


def finish(tx: Tx, booking_id: UUID, *, event: str, reason: str) -> bool:
    """End a booking and its holds; False if its state does not allow `event`.

    The holds are released, or have failed if the outcome of the unlock stays unknown.
    """
    sql = """
        WITH ended AS (
            UPDATE bookings
               SET status = %(target)s, finished_at = now(),
                   cancelled_by = CASE WHEN %(reason)s = 'cancelled' THEN caller() END
             WHERE booking_id = %(booking_id)s AND status = ANY (%(sources)s)
            RETURNING booking_id),
        finished AS (
            UPDATE booking_cells h
               SET state = %(cell_target)s, reason = %(reason)s, finished = true
              FROM ended
             WHERE h.booking_id = ended.booking_id AND h.state = ANY (%(cell_sources)s)
               AND NOT h.finished)
        SELECT booking_id FROM ended"""
    cell_event = "not_opened" if event == "outcome_unresolved" else "released"
    cell_move = states.BOOKING_CELL.move(cell_event)
    params = {
        "booking_id": booking_id,
        "reason": reason,
        **states.BOOKING.move(event),
        "cell_sources": cell_move["sources"],
        "cell_target": cell_move["target"],
    }
    return tx.first(sql, params) is not None


def restore_command(tx: Tx, booking_id: UUID) -> None:
    """Make the newest unlock that was published the booking's unlock again."""
    sql = """
        UPDATE bookings b
           SET command_id = (SELECT c.command_id FROM commands c
                              WHERE c.booking_id = b.booking_id AND c.status <> 'not_published'
                              ORDER BY c.created_at DESC LIMIT 1)
         WHERE b.booking_id = %(booking_id)s"""
    tx.queue(sql, {"booking_id": booking_id})


def release_held(tx: Tx, booking_id: UUID, *, reason: str) -> None:
    """Release the cells of a booking that are held and were not opened."""
    sql = """
        UPDATE booking_cells SET state = %(target)s, reason = %(reason)s, finished = true
         WHERE booking_id = %(booking_id)s AND state = 'held'"""
    tx.queue(sql, {"booking_id": booking_id, "reason": reason, "target": _RELEASE["target"]})


def cabinets_holding(tx: Tx, accumulator_ids: Collection[str]) -> set[str]:
    """Return cabinets whose unfinished bookings hold any of these, wherever these are now."""
    sql = """
        SELECT DISTINCT cabinet_id FROM booking_cells
         WHERE accumulator_id = ANY (%(ids)s) AND NOT finished"""
    return {row["cabinet_id"] for row in tx.all(sql, {"ids": [*accumulator_ids]})}


def release_accumulators(tx: Tx, accumulator_ids: Collection[str]) -> list[UUID]:
    """Release active bookings' holds on accumulators that moved; return these bookings."""
    sql = """
        UPDATE booking_cells h
           SET state = %(target)s, reason = 'moved', finished = true
          FROM bookings b
         WHERE h.accumulator_id = ANY (%(ids)s) AND h.state = ANY (%(sources)s)
           AND NOT h.finished
           AND b.booking_id = h.booking_id AND b.status = 'active'
        RETURNING h.booking_id"""
    rows = tx.all(sql, {"ids": [*accumulator_ids], **_RELEASE})
    return sorted({row["booking_id"] for row in rows})


def expire_due(tx: Tx, cabinet_ids: Collection[str]) -> int:
    """Write the expiry of these cabinets' bookings whose time has run out; return how many."""
    sql = f"WITH {_EXPIRE} SELECT count(*) AS expired FROM due"  # noqa: S608 - the expiry is a constant
    return int(tx.one(sql, {"cabinet_ids": [*cabinet_ids], **_EXPIRY})["expired"])


def cabinets_with_due(tx: Tx) -> list[str]:
    """Return cabinets with bookings whose expiry is not written yet."""
    sql = """
        SELECT DISTINCT cabinet_id FROM bookings
         WHERE finished_at IS NULL AND status = ANY (%(sources)s) AND expires_at <= now()
         ORDER BY cabinet_id"""
    return [row["cabinet_id"] for row in tx.all(sql, states.BOOKING.move("expired"))]


def unfinished(tx: Tx, cabinet_ids: Collection[str], booking_ids: Collection[UUID]) -> list[Row]:
    """Return unfinished bookings of these cabinets, and those of `booking_ids`."""
    sql = """
        SELECT booking_id, cabinet_id, contractor_id, kind, status, requested, command_id
          FROM bookings
         WHERE (cabinet_id = ANY (%(cabinet_ids)s) AND finished_at IS NULL)
            OR booking_id = ANY (%(booking_ids)s::uuid[])
         ORDER BY created_at, booking_id"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids], "booking_ids": [*booking_ids]})


def cells_of(tx: Tx, booking_ids: Collection[UUID]) -> list[Row]:
    """Return every cell of these bookings, finished or not."""
    sql = """
        SELECT booking_id, cabinet_id, cell_number, accumulator_id, battery_charge, state, reason,
               finished
          FROM booking_cells
         WHERE booking_id = ANY (%(booking_ids)s::uuid[])
         ORDER BY booking_id, cell_number"""
    return tx.all(sql, {"booking_ids": [*booking_ids]})


def save_cells(tx: Tx, rows: list[Row]) -> None:
    """Save holds, whose states have moved through `states.BOOKING_CELL`."""
    sql = """
        UPDATE booking_cells h
           SET accumulator_id = t.accumulator_id, battery_charge = t.battery_charge,
               state = t.state, reason = t.reason, finished = t.finished
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (booking_id uuid, cell_number smallint, accumulator_id text,
                     battery_charge smallint, state text, reason text, finished boolean)
         WHERE h.booking_id = t.booking_id AND h.cell_number = t.cell_number"""
    tx.queue_batch(sql, rows)


def save(tx: Tx, rows: list[Row]) -> None:
    """Save bookings' statuses, which have moved through `states.BOOKING`."""
    sql = """
        UPDATE bookings b
           SET status = t.status,
               finished_at = CASE WHEN t.status = ANY (%(final)s)
                                  THEN coalesce(b.finished_at, now()) END
          FROM jsonb_to_recordset(%(rows)s::jsonb) AS t (booking_id uuid, status text)
         WHERE b.booking_id = t.booking_id"""
    tx.queue_batch(sql, rows, final=[*states.BOOKING.final])
