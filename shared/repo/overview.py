"""The fleet at a glance: cabinets in numbers, and where accumulators are."""

from collections.abc import Sequence

from shared.db import Row, Tx


def cabinets(
    tx: Tx, *, cabinet_ids: Sequence[str] | None, min_charge: int, offline_after: float
) -> list[Row]:
    """Return cabinets with the numbers of their stock, by id; those named, or all."""
    sql = """
        SELECT cabinet_id, round(lat::numeric, 5)::float8 AS lat,
               round(lon::numeric, 5)::float8 AS lon, status = 'active' AS active, online,
               cardinality(alarms) AS alarms, s.ready, s.free, s.faulty, s.accumulators,
               cells_total,
               CASE WHEN NOT online THEN date_trunc('second', last_seen_at) END AS last_seen_at,
               firmware
          FROM (SELECT *, coalesce(last_seen_at > now() - make_interval(
                              secs => %(offline_after)s), false) AND NOT signed_off AS online
                  FROM cabinets
                 WHERE %(cabinet_ids)s::text[] IS NULL OR cabinet_id = ANY (%(cabinet_ids)s)) c
          JOIN (SELECT cabinet_id,
                       count(*) FILTER (WHERE issuable AND battery_charge >= %(min_charge)s)
                       AS ready,
                       count(*) FILTER (WHERE free) AS free,
                       count(*) FILTER (WHERE health <> 'ok') AS faulty,
                       count(accumulator_id) AS accumulators
                  FROM stock
                 WHERE %(cabinet_ids)s::text[] IS NULL OR cabinet_id = ANY (%(cabinet_ids)s)
                 GROUP BY cabinet_id) s USING (cabinet_id)
         ORDER BY cabinet_id"""
    params = {
        "cabinet_ids": None if cabinet_ids is None else [*cabinet_ids],
        "min_charge": min_charge,
        "offline_after": offline_after,
    }
    return tx.all(sql, params)


def places(tx: Tx) -> Row:
    """Return the numbers of accumulators that are not retired, by kind of place; and the time."""
    sql = """
        SELECT count(cabinet_id) AS cabinet, count(contractor_id) AS contractor,
               count(scooter_id) AS scooter,
               count(*) FILTER (WHERE num_nonnulls(cabinet_id, contractor_id, scooter_id) = 0)
               AS unknown,
               now() AS at
          FROM accumulators
         WHERE status <> 'retired'"""
    return tx.one(sql)
