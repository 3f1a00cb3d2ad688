"""Bookings and the cells they hold. The caller has locked the cabinet's row."""

from collections.abc import Collection, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shared.db import Row, Tx

if TYPE_CHECKING:  # mqtt_trigger needs no models of the API: its cold start would pay for them
    from shared.models.bookings import BookingRequest, BookingStatus

_BOOKING = """
    SELECT b.booking_id, b.cabinet_id, b.contractor_id, b.kind, b.requested, b.min_charge,
           b.created_at, b.expires_at, b.command_id, b.status, coalesce((
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
             WHERE b.cabinet_id = ANY (%(cabinet_ids)s) AND b.finished_at IS NULL
               AND b.status <> 'unlocking' AND b.expires_at <= now()
               AND c.booking_id = b.booking_id
            RETURNING b.booking_id),
        released AS (
            UPDATE booking_cells h
               SET state = 'released', reason = 'expired', finished = true
              FROM due
             WHERE h.booking_id = due.booking_id AND NOT h.finished)"""


def insert(
    tx: Tx, booking_id: UUID, request: "BookingRequest", *, min_charge: int, seconds: float
) -> Row | None:
    """A booking that holds nothing yet; None if this id is there already.

    What has expired in the cabinet is written down with it, so that its cells can be held.
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
        "cabinet_ids": [request.cabinet_id],
        "booking_id": booking_id,
        "lowest": min_charge,
        "seconds": seconds,
    }
    return tx.first(sql, params)


def hold(tx: Tx, booking_id: UUID, count: int) -> list[Row]:
    """Hold up to `count` more: the most charged accumulators, or the first free cells; these."""
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
               state = 'held', reason = NULL, finished = false
         WHERE h.finished
        RETURNING cell_number, accumulator_id, battery_charge, state, reason"""
    held = tx.all(sql, {"booking_id": booking_id, "count": count})
    return sorted(held, key=itemgetter("cell_number"))


def release_unfit(tx: Tx, booking_id: UUID) -> list[int]:
    """End the holds that what is known now speaks against; the cells that are left, by number."""
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
               SET state = 'released', reason = checked.reason, finished = true
              FROM checked
             WHERE h.booking_id = %(booking_id)s AND h.cell_number = checked.cell_number
               AND checked.reason IS NOT NULL)
        SELECT cell_number FROM checked WHERE reason IS NULL ORDER BY cell_number"""
    return [row["cell_number"] for row in tx.all(sql, {"booking_id": booking_id})]


def get(tx: Tx, booking_id: UUID) -> Row | None:
    """A booking as it is now, with its cells."""
    return tx.first(f"{_BOOKING} WHERE b.booking_id = %(booking_id)s", {"booking_id": booking_id})


def listing(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Bookings that match, newest first; one row more than `limit`."""
    sql = f"""{_BOOKING}
         WHERE (%(cabinet_id)s::text IS NULL OR b.cabinet_id = %(cabinet_id)s)
           AND (%(contractor_id)s::text IS NULL OR b.contractor_id = %(contractor_id)s)
           AND (%(status)s::text IS NULL OR b.status = %(status)s)
           -- The same by what is written down, of which there is an index.
           AND (%(status)s::text IS NULL OR b.written_status = %(status)s
                OR %(status)s IN ('expired', 'partially_completed')
                   AND b.written_status IN ('active', 'returning'))
           AND (%(before_at)s::timestamptz IS NULL
                OR (b.created_at, b.booking_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
         ORDER BY b.created_at DESC, b.booking_id DESC
         LIMIT %(limit)s + 1"""
    return tx.all(sql, query)


def move_on(
    tx: Tx,
    booking_id: UUID,
    *,
    since: "BookingStatus",
    to: "BookingStatus",
    command_id: UUID | None,
) -> None:
    """Move a booking from one unfinished status to the next, if it is in `since`."""
    sql = """
        UPDATE bookings SET status = %(to)s, command_id = coalesce(%(command_id)s, command_id)
         WHERE booking_id = %(booking_id)s AND status = %(since)s"""
    params = {"booking_id": booking_id, "since": since, "to": to, "command_id": command_id}
    tx.write(sql, params)


def finish(tx: Tx, booking_id: UUID, *, status: "BookingStatus", state: str, reason: str) -> bool:
    """End an unfinished booking and what it still holds; False if it has ended already."""
    sql = """
        WITH ended AS (
            UPDATE bookings SET status = %(status)s, finished_at = now()
             WHERE booking_id = %(booking_id)s AND finished_at IS NULL
            RETURNING booking_id),
        released AS (
            UPDATE booking_cells h
               SET state = %(state)s, reason = %(reason)s, finished = true
              FROM ended
             WHERE h.booking_id = ended.booking_id AND NOT h.finished)
        SELECT booking_id FROM ended"""
    params = {"booking_id": booking_id, "status": status, "state": state, "reason": reason}
    return tx.first(sql, params) is not None


def cabinets_holding(tx: Tx, accumulator_ids: Collection[str]) -> set[str]:
    """Cabinets whose unfinished bookings hold any of these, wherever they are by now."""
    sql = """
        SELECT DISTINCT cabinet_id FROM booking_cells
         WHERE accumulator_id = ANY (%(ids)s) AND NOT finished"""
    return {row["cabinet_id"] for row in tx.all(sql, {"ids": [*accumulator_ids]})}


def release_accumulator(tx: Tx, accumulator_id: str) -> list[UUID]:
    """End the hold on an accumulator that is elsewhere; the active bookings that had it."""
    sql = """
        UPDATE booking_cells h
           SET state = 'released', reason = 'moved', finished = true
          FROM bookings b
         WHERE h.accumulator_id = %(accumulator_id)s AND NOT h.finished
           AND b.booking_id = h.booking_id AND b.status = 'active'
        RETURNING h.booking_id"""
    return [row["booking_id"] for row in tx.all(sql, {"accumulator_id": accumulator_id})]


def expire_due(tx: Tx, cabinet_ids: Collection[str]) -> int:
    """Write down the expiry of these cabinets' bookings whose time has passed; how many."""
    sql = f"WITH {_EXPIRE} SELECT count(*) AS expired FROM due"  # noqa: S608 - the expiry is a constant
    return int(tx.one(sql, {"cabinet_ids": [*cabinet_ids]})["expired"])


def cabinets_with_due(tx: Tx) -> list[str]:
    """Cabinets with bookings whose expiry is not written yet."""
    sql = """
        SELECT DISTINCT cabinet_id FROM bookings
         WHERE finished_at IS NULL AND status <> 'unlocking' AND expires_at <= now()
         ORDER BY cabinet_id"""
    return [row["cabinet_id"] for row in tx.all(sql)]


def unfinished(tx: Tx, cabinet_ids: Collection[str], booking_ids: Collection[UUID]) -> list[Row]:
    """Unfinished bookings of these cabinets, and those named."""
    sql = """
        SELECT booking_id, cabinet_id, contractor_id, kind, status, requested, command_id
          FROM bookings
         WHERE (cabinet_id = ANY (%(cabinet_ids)s) AND finished_at IS NULL)
            OR booking_id = ANY (%(booking_ids)s::uuid[])
         ORDER BY created_at, booking_id"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids], "booking_ids": [*booking_ids]})


def cells_of(tx: Tx, booking_ids: Collection[UUID]) -> list[Row]:
    """Every cell of these bookings, finished or not."""
    sql = """
        SELECT booking_id, cabinet_id, cell_number, accumulator_id, battery_charge, state, reason,
               finished
          FROM booking_cells
         WHERE booking_id = ANY (%(booking_ids)s::uuid[])
         ORDER BY booking_id, cell_number"""
    return tx.all(sql, {"booking_ids": [*booking_ids]})


def save_cells(tx: Tx, rows: list[Row]) -> None:
    """What messages did to holds."""
    sql = """
        UPDATE booking_cells h
           SET accumulator_id = t.accumulator_id, battery_charge = t.battery_charge,
               state = t.state, reason = t.reason, finished = t.finished
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (booking_id uuid, cell_number smallint, accumulator_id text,
                     battery_charge smallint, state text, reason text, finished boolean)
         WHERE h.booking_id = t.booking_id AND h.cell_number = t.cell_number"""
    tx.write_batch(sql, rows)


def save(tx: Tx, rows: list[Row]) -> None:
    """What messages did to bookings: booking_id and status."""
    sql = """
        UPDATE bookings b
           SET status = t.status,
               finished_at = CASE WHEN t.status IN ('active', 'unlocking', 'returning') THEN NULL
                                  ELSE coalesce(b.finished_at, now()) END
          FROM jsonb_to_recordset(%(rows)s::jsonb) AS t (booking_id uuid, status text)
         WHERE b.booking_id = t.booking_id"""
    tx.write_batch(sql, rows)
