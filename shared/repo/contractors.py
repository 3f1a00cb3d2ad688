"""Contractors: what accumulators and bookings say of them. They have no table of their own."""

from collections.abc import Mapping
from typing import Any

from shared.db import Row, Tx


def listing(tx: Tx, query: Mapping[str, Any]) -> list[Row]:
    """Return the contractors that carry something or have open bookings, by id; one over `limit`.

    Only what is carried now is read, and of the ledger the last movement of each of these: it
    brought the accumulator to its contractor. `max_items`: accumulators and bookings of each.
    """
    sql = """
        WITH page AS (
            (SELECT contractor_id FROM accumulators a
              WHERE contractor_id IS NOT NULL
                AND (%(after)s::text IS NULL OR contractor_id > %(after)s)
              GROUP BY contractor_id
             HAVING count(*) >= %(min_accumulators)s
                AND (%(held_since_before)s::timestamptz IS NULL OR bool_or(
                     (SELECT at FROM movements m WHERE m.accumulator_id = a.accumulator_id
                         AND m.at >= coalesce(a.moved_at, '-infinity')
                       ORDER BY movement_id DESC LIMIT 1) < %(held_since_before)s))
              ORDER BY contractor_id
              LIMIT %(limit)s + 1)
            UNION
            (SELECT DISTINCT contractor_id FROM bookings
              WHERE finished_at IS NULL AND (status = 'unlocking' OR expires_at > now())
                AND (%(after)s::text IS NULL OR contractor_id > %(after)s)
                AND %(min_accumulators)s = 0 AND %(held_since_before)s::timestamptz IS NULL
              ORDER BY contractor_id
              LIMIT %(limit)s + 1)
             ORDER BY contractor_id
             LIMIT %(limit)s + 1)
        SELECT p.contractor_id, h.total AS accumulators_total, h.held_since, h.accumulators,
               b.open_bookings
          FROM page p
         CROSS JOIN LATERAL (
               SELECT count(*) AS total, min(since) AS held_since,
                      coalesce(jsonb_agg(jsonb_build_object(
                          'accumulator_id', accumulator_id, 'battery_charge', battery_charge,
                          'status', status, 'since', since, 'cause', cause)
                          ORDER BY since, accumulator_id) FILTER (WHERE n <= %(max_items)s), '[]')
                      AS accumulators
                 FROM (SELECT a.accumulator_id, a.battery_charge, a.status, m.at AS since, m.cause,
                              row_number() OVER (ORDER BY m.at, a.accumulator_id) AS n
                         FROM accumulators a
                        CROSS JOIN LATERAL (
                              SELECT at, cause FROM movements m
                               WHERE m.accumulator_id = a.accumulator_id
                                 AND m.at >= coalesce(a.moved_at, '-infinity')
                               ORDER BY movement_id DESC LIMIT 1) m
                        WHERE a.contractor_id = p.contractor_id) t) h
         CROSS JOIN LATERAL (
               SELECT coalesce(jsonb_agg(to_jsonb(t) ORDER BY created_at DESC, booking_id), '[]')
                      AS open_bookings
                 FROM (SELECT booking_id, cabinet_id, kind, status, created_at, expires_at
                         FROM bookings
                        WHERE contractor_id = p.contractor_id AND finished_at IS NULL
                          AND (status = 'unlocking' OR expires_at > now())
                        ORDER BY created_at DESC, booking_id
                        LIMIT %(max_items)s) t) b
         ORDER BY p.contractor_id"""
    return tx.all(sql, query)
