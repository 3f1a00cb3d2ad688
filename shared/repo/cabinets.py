"""Cabinets: register, lock, find, describe."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from shared import states
from shared.db import Row, Tx


def insert(tx: Tx, rows: list[Row]) -> int:
    """Insert cabinets with their cells; return how many. One whose ids are taken is left out.

    `rows`: cabinet_id, device_id, lat, lon, address, protocol, cells_total.
    """
    sql = """
        WITH inserted AS (
            INSERT INTO cabinets (cabinet_id, device_id, lat, lon, address, protocol, cells_total)
            SELECT cabinet_id, device_id, lat, lon, address, protocol, cells_total
              FROM jsonb_to_recordset(%(rows)s::jsonb)
                   AS t (cabinet_id text, device_id text, lat float8, lon float8, address text,
                         protocol text, cells_total smallint)
             ORDER BY cabinet_id
            ON CONFLICT DO NOTHING
            RETURNING cabinet_id, cells_total),
        numbered AS (
            INSERT INTO cells (cabinet_id, cell_number)
            SELECT cabinet_id, generate_series(1, cells_total) FROM inserted)
        SELECT cabinet_id FROM inserted"""
    return len(tx.batch(sql, rows))


def lock_devices(tx: Tx) -> None:
    """Keep others from registering cabinets and from changing devices until the transaction ends.

    Before it locks any cabinet: which cabinets there are, and their devices, are read afterwards.
    """
    tx.queue("SELECT pg_advisory_xact_lock(hashtextextended('cabinets.device_id', 0))", {})


def lock(tx: Tx, cabinet_ids: Collection[str]) -> list[Row]:
    """Lock cabinets in id order: the right to change their cells, bookings and accumulators."""
    sql = """
        SELECT cabinet_id, device_id, protocol, status, alarms, firmware, cells_total, boot_no,
               report_boot_no, report_seq, reported_at, session, session_boot_no, session_seq,
               signed_off, lat, lon, address, status_reason, enrol_until, suspect_since,
               suspect_reason, suspect_since IS NOT NULL AS is_suspect, device_boot_no,
               coalesce(enrol_until > now(), false) AS is_enrolling
          FROM cabinets
         WHERE cabinet_id = ANY (%(cabinet_ids)s)
         ORDER BY cabinet_id
           FOR UPDATE"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids]})


def lock_one(tx: Tx, cabinet_id: str, *, offline_after: float) -> Row | None:
    """Lock one cabinet.

    `online`: it sent a message within `offline_after` seconds, and its connection was not lost.
    """
    sql = """
        SELECT cabinet_id, device_id, protocol, status, alarms, cells_total,
               coalesce(last_seen_at > now() - make_interval(secs => %(offline_after)s), false)
               AND NOT signed_off AS online
          FROM cabinets
         WHERE cabinet_id = %(cabinet_id)s
           FOR UPDATE"""
    return tx.first(sql, {"cabinet_id": cabinet_id, "offline_after": offline_after})


def lock_of_booking(tx: Tx, booking_id: UUID) -> Row | None:
    """Lock the cabinet of a booking; None if there is no such booking."""
    sql = """
        SELECT cabinet_id, device_id, protocol, status, alarms
          FROM cabinets
         WHERE cabinet_id = (SELECT cabinet_id FROM bookings WHERE booking_id = %(booking_id)s)
           FOR UPDATE"""
    return tx.first(sql, {"booking_id": booking_id})


def of_devices(tx: Tx, device_ids: Collection[str]) -> list[Row]:
    """Return the cabinet and the protocol of each of these devices."""
    sql = """
        SELECT device_id, cabinet_id, protocol FROM cabinets
         WHERE device_id = ANY (%(device_ids)s)"""
    return tx.all(sql, {"device_ids": [*device_ids]})


def of_accumulators(tx: Tx, accumulator_ids: Collection[str]) -> set[str]:
    """Return the cabinets that these accumulators are in according to the records."""
    sql = """
        SELECT DISTINCT cabinet_id FROM accumulators
         WHERE accumulator_id = ANY (%(ids)s) AND cabinet_id IS NOT NULL"""
    return {row["cabinet_id"] for row in tx.all(sql, {"ids": [*accumulator_ids]})}


def describe(tx: Tx, query: dict[str, Any]) -> list[Row]:
    """Return cabinets with their stock, nearest first, then by id; one row more than `limit`.

    `query`: lat, lon, radius_m, area, min_charge, min_available, min_free_cells, online,
    requested_by, cabinet_id, after_away_m, after_id, limit, offline_after; None for no condition;
    metres, seconds, `area` a box of longitudes and latitudes.
    """
    sql = """
        SELECT near.*, CASE WHEN %(lat)s::float8 IS NOT NULL THEN away_m END AS distance_m, s.*
          FROM (SELECT cabinet_id, device_id, lat, lon, address, protocol, status, status_reason,
                       alarms, online, last_seen_at, cells_total, requested_by, away_m,
                       CASE WHEN enrol_until > now() THEN enrol_until END AS enrol_until,
                       suspect_since, suspect_reason
                  FROM (SELECT *, coalesce(last_seen_at > now() - make_interval(
                                      secs => %(offline_after)s), false)
                                  AND NOT signed_off AS online,
                               -- Depends on a column, otherwise the planner sorts once more.
                               CASE WHEN %(lat)s::float8 IS NULL THEN cells_total * 0 ELSE
                                   round(12742017.6 * asin(least(1, sqrt(
                                       power(sind((lat - %(lat)s) / 2), 2) + cosd(%(lat)s)
                                       * cosd(lat) * power(sind((lon - %(lon)s) / 2), 2)
                                   ))))::integer END AS away_m
                          FROM cabinets
                         WHERE (%(cabinet_id)s::text IS NULL OR cabinet_id = %(cabinet_id)s)
                           AND (%(area)s::box IS NULL OR point(lon, lat) <@ %(area)s::box)) c
                 WHERE (%(online)s::boolean IS NULL OR online = %(online)s)
                   AND (%(requested_by)s::text IS NULL OR requested_by = %(requested_by)s)
                   AND (%(radius_m)s::integer IS NULL OR away_m <= %(radius_m)s)
                   AND (%(after_id)s::text IS NULL
                        OR (away_m, cabinet_id) > (%(after_away_m)s::integer, %(after_id)s))
                 ORDER BY away_m, cabinet_id
                -- The stock is counted in this order, until there are enough rows.
                OFFSET 0) near
         CROSS JOIN LATERAL (
               SELECT count(accumulator_id) AS total,
                      count(*) FILTER (WHERE issuable AND battery_charge >= %(min_charge)s)
                      AS available,
                      count(accumulator_id) FILTER (WHERE booking_id IS NOT NULL) AS held,
                      coalesce(array_agg(battery_charge::integer ORDER BY battery_charge DESC)
                               FILTER (WHERE battery_charge IS NOT NULL), '{}') AS charges,
                      count(*) FILTER (WHERE free) AS free_cells,
                      count(*) FILTER (WHERE health <> 'ok') AS faulty_cells
                 FROM stock
                WHERE stock.cabinet_id = near.cabinet_id) s
         WHERE available >= %(min_available)s AND free_cells >= %(min_free_cells)s
         ORDER BY away_m, near.cabinet_id
         LIMIT %(limit)s + 1"""
    return tx.all(sql, query)


def board(tx: Tx, cabinet_id: str) -> Row:
    """Return what is known of a cabinet's board, and when it last reported all cells."""
    sql = """
        SELECT firmware, reported_at, b.first_seen_at AS booted_at
          FROM cabinets c
          LEFT JOIN boots b USING (cabinet_id, boot_no)
         WHERE cabinet_id = %(cabinet_id)s"""
    return tx.one(sql, {"cabinet_id": cabinet_id})


def update(tx: Tx, rows: list[Row]) -> None:
    """Save the fields of locked cabinets that people change, besides the device, and who does.

    The statuses have moved through `states.CABINET`.
    """
    sql = """
        UPDATE cabinets c
           SET lat = t.lat, lon = t.lon, address = t.address, status = t.status,
               status_reason = t.status_reason, cells_total = t.cells_total,
               protocol = t.protocol, enrol_until = t.enrol_until, requested_by = caller(),
               suspect_since = CASE WHEN t.is_suspect THEN coalesce(c.suspect_since, now()) END,
               suspect_reason = t.suspect_reason,
               cleared_at = CASE WHEN c.suspect_since IS NULL OR t.is_suspect THEN c.cleared_at
                                 ELSE now() END
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (cabinet_id text, lat float8, lon float8, address text, status text,
                     status_reason text, cells_total smallint, protocol text,
                     enrol_until timestamptz, is_suspect boolean, suspect_reason text)
         WHERE c.cabinet_id = t.cabinet_id"""
    tx.queue_batch(sql, rows)


def change_device(tx: Tx, cabinet_id: str, device_id: str) -> None:
    """Give a cabinet another device; forget the boots and the connection of the one that it had.

    Whatever the new device calls its boot, its first message starts a new one.
    """
    params = {"cabinet_id": cabinet_id, "device_id": device_id}
    tx.queue("DELETE FROM boots WHERE cabinet_id = %(cabinet_id)s", params)
    sql = """
        UPDATE cabinets
           SET device_id = %(device_id)s, session = NULL, signed_off = false, firmware = NULL,
               device_boot_no = boot_no
         WHERE cabinet_id = %(cabinet_id)s"""
    tx.queue(sql, params)


def now(tx: Tx) -> datetime:
    """Return the time at which the transaction began, by the database's clock."""
    time: datetime = tx.one("SELECT now() AS time")["time"]
    return time


def busy(tx: Tx, cabinet_id: str) -> bool:
    """Whether the cabinet has accumulators, unfinished bookings or unsettled commands."""
    sql = """
        SELECT EXISTS (SELECT FROM accumulators WHERE cabinet_id = %(cabinet_id)s)
            OR EXISTS (SELECT FROM current_bookings
                        WHERE cabinet_id = %(cabinet_id)s
                          AND status = ANY (%(unfinished)s))
            OR EXISTS (SELECT FROM commands
                        WHERE cabinet_id = %(cabinet_id)s
                          AND status = ANY (%(open)s)) AS busy"""
    params = {
        "cabinet_id": cabinet_id,
        "unfinished": [*states.BOOKING.unfinished],
        "open": [*states.COMMAND.unfinished],
    }
    return bool(tx.one(sql, params)["busy"])


def delete(tx: Tx, cabinet_id: str) -> None:
    """Delete a cabinet with its cells, bookings and commands; the ledger stays."""
    tx.execute("DELETE FROM cabinets WHERE cabinet_id = %(cabinet_id)s", {"cabinet_id": cabinet_id})


def announce(tx: Tx, *, offline_after: float, limit: int) -> int:
    """Record which cabinets fell silent, or are online although it was not recorded.

    Return how many of the first `limit` it were. A cabinet that is locked now is left to the next
    time.
    """
    sql = """
        WITH differing AS (
            SELECT cabinet_id FROM cabinets
             WHERE announced_online <> (NOT signed_off AND coalesce(
                   last_seen_at > now() - make_interval(secs => %(offline_after)s), false))
             ORDER BY cabinet_id
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED)
        UPDATE cabinets c SET announced_online = NOT announced_online
          FROM differing d
         WHERE c.cabinet_id = d.cabinet_id"""
    return tx.execute(sql, {"offline_after": offline_after, "limit": limit})


def boots(tx: Tx, cabinet_ids: Collection[str], boot_ids: Collection[str]) -> list[Row]:
    """Return those of the boots that are known, and each cabinet's current one."""
    sql = """
        SELECT cabinet_id, boot_id, b.boot_no, first_seen_at, restart_seq,
               b.boot_no = c.boot_no AS is_current
          FROM boots b
          JOIN cabinets c USING (cabinet_id)
         WHERE cabinet_id = ANY (%(cabinet_ids)s)
           AND (boot_id = ANY (%(boot_ids)s) OR b.boot_no = c.boot_no)"""
    return tx.all(sql, {"cabinet_ids": [*cabinet_ids], "boot_ids": [*boot_ids]})


def insert_boots(tx: Tx, rows: list[Row], *, kept: int) -> None:
    """Insert boots that have become the current ones: cabinet_id, boot_id, boot_no, restart_seq.

    Of each cabinet, only the last `kept` are kept.
    """
    sql = """
        INSERT INTO boots (cabinet_id, boot_id, boot_no, restart_seq)
        SELECT cabinet_id, boot_id, boot_no, restart_seq
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (cabinet_id text, boot_id text, boot_no integer, restart_seq bigint)
        ON CONFLICT (cabinet_id, boot_id) DO UPDATE
           SET boot_no = excluded.boot_no, first_seen_at = excluded.first_seen_at,
               restart_seq = excluded.restart_seq"""
    tx.queue_batch(sql, rows)
    if any(row["boot_no"] > kept for row in rows):
        sql = """
            DELETE FROM boots b
             USING (SELECT cabinet_id, max(boot_no) AS boot_no
                      FROM jsonb_to_recordset(%(rows)s::jsonb)
                           AS t (cabinet_id text, boot_no integer)
                     GROUP BY cabinet_id) last
             WHERE b.cabinet_id = last.cabinet_id AND b.boot_no <= last.boot_no - %(kept)s"""
        tx.queue_batch(sql, rows, kept=kept)


def save(tx: Tx, rows: list[Row]) -> None:
    """Save what messages reported about cabinets as a whole."""
    sql = """
        UPDATE cabinets c
           SET last_seen_at = CASE WHEN t.heard THEN now() ELSE c.last_seen_at END,
               boot_no = t.boot_no, report_boot_no = t.report_boot_no, report_seq = t.report_seq,
               reported_at = CASE WHEN t.reported THEN now() ELSE c.reported_at END,
               alarms_since = CASE WHEN t.alarms = '{}' THEN NULL WHEN c.alarms = '{}' THEN now()
                                   ELSE c.alarms_since END,
               alarms = t.alarms, firmware = t.firmware, session = t.session,
               session_boot_no = t.session_boot_no, session_seq = t.session_seq,
               signed_off = t.signed_off, suspect_reason = t.suspect_reason,
               suspect_since = CASE WHEN t.is_suspect THEN coalesce(c.suspect_since, now()) END,
               announced_online = CASE WHEN t.signed_off THEN false WHEN t.heard THEN true
                                       ELSE c.announced_online END
          FROM jsonb_to_recordset(%(rows)s::jsonb)
               AS t (cabinet_id text, heard boolean, boot_no integer, report_boot_no integer,
                     report_seq bigint, reported boolean, alarms text[], firmware text,
                     session text, session_boot_no integer, session_seq bigint,
                     signed_off boolean, is_suspect boolean, suspect_reason text)
         WHERE c.cabinet_id = t.cabinet_id"""
    tx.queue_batch(sql, rows)
