"""Statistics of the service, and the audit of its invariants."""

from shared.db import Row, Tx

MOVEMENTS_AUDITED = 20_000
"""Newest movements that one audit checks: more than an hour at ten requests a second."""


def stocks(tx: Tx, min_charge: int, *, limit: int | None = None) -> list[Row]:
    """Return accumulators and charges of each cabinet, by id; of the first `limit` if given."""
    sql = """
        SELECT cabinet_id, count(accumulator_id) AS accumulators,
               count(*) FILTER (WHERE issuable AND battery_charge >= %(min_charge)s) AS available,
               round(avg(battery_charge), 1)::float8 AS charge_mean,
               min(battery_charge) AS charge_min
          FROM stock
         GROUP BY cabinet_id
         ORDER BY cabinet_id
         LIMIT %(limit)s"""
    return tx.all(sql, {"min_charge": min_charge, "limit": limit})


def contractors(tx: Tx) -> dict[str, int]:
    """Return the number of accumulators with each contractor."""
    sql = """
        SELECT contractor_id, count(*) AS n FROM accumulators
         WHERE contractor_id IS NOT NULL GROUP BY contractor_id ORDER BY contractor_id"""
    return {row["contractor_id"]: row["n"] for row in tx.all(sql)}


def places(tx: Tx) -> Row:
    """Return the number of accumulators in each kind of place, and of all registered ones."""
    sql = """
        SELECT count(*) AS registered,
               count(cabinet_id) AS in_cells,
               count(contractor_id) AS with_contractors,
               count(scooter_id) AS in_scooters,
               count(*) FILTER (WHERE status = 'retired') AS retired,
               count(*) FILTER (WHERE status <> 'retired' AND num_nonnulls(
                   cabinet_id, contractor_id, scooter_id) = 0) AS nowhere_known
          FROM accumulators"""
    return tx.one(sql)


def outcomes(tx: Tx) -> list[Row]:
    """Return counts of bookings, commands and anomalies of the last 24 hours: what, name, n.

    Only commands about cells count as unresolved: a request for a report without a reply changed
    nothing and counts as no_answer.
    """
    sql = """
        SELECT 'bookings' AS what, status AS name, count(*) AS n FROM current_bookings
         WHERE created_at > now() - interval '24 hours' GROUP BY status
        UNION ALL
        SELECT 'commands', CASE WHEN status = 'unresolved' AND NOT payload ? 'cells'
                                THEN 'no_answer' ELSE status END AS name, count(*)
          FROM current_commands
         WHERE created_at > now() - interval '24 hours' AND cabinet_id IS NOT NULL
         GROUP BY name
        UNION ALL
        SELECT 'anomalies', reason, sum(count) FROM anomalies
         WHERE at > now() - interval '24 hours' GROUP BY reason
         ORDER BY what, name"""
    return tx.all(sql)


def answer_times(tx: Tx) -> Row:
    """Return times from publishing to the cabinet's result, last 24 hours, milliseconds."""
    sql = """
        SELECT count(ms) AS count, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS median_ms,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99_ms, max(ms) AS max_ms
          FROM (SELECT greatest(0, 1000 * extract(
                       epoch FROM finished_at - coalesce(published_at, created_at)))::float8 AS ms
                  FROM commands
                 WHERE created_at > now() - interval '24 hours' AND cabinet_id IS NOT NULL
                   AND NOT inferred
                   AND status IN ('succeeded', 'partially_succeeded', 'failed', 'rejected')) t"""
    return tx.one(sql)


def rows_written(tx: Tx) -> int:
    """Return the rows inserted, updated and deleted since the database's statistics began."""
    sql = """
        SELECT tup_inserted + tup_updated + tup_deleted AS n
          FROM pg_stat_database WHERE datname = current_database()"""
    return int(tx.one(sql)["n"])


def violations(tx: Tx) -> list[Row]:
    """Return violations of the domain's invariants: invariant, subject, detail; at most 100.

    Constraints enforce I1, I2 and I4 as well; this checks them independently. Of the ledger only
    the newest part is checked, so that the audit costs the same after years.
    """
    sql = f"""
        WITH latest AS MATERIALIZED (
            SELECT * FROM movements ORDER BY movement_id DESC LIMIT {MOVEMENTS_AUDITED})
        SELECT 'I1' AS invariant, accumulator_id AS subject, 'in more than one place' AS detail
          FROM accumulators WHERE num_nonnulls(cabinet_id, contractor_id, scooter_id) > 1
        UNION ALL
        SELECT 'I1', cabinet_id || '/' || cell_number, 'more than one accumulator in the cell'
          FROM accumulators WHERE cabinet_id IS NOT NULL
         GROUP BY cabinet_id, cell_number HAVING count(*) > 1
        UNION ALL
        SELECT 'I2', cabinet_id || '/' || cell_number, 'cell in more than one unfinished booking'
          FROM booking_cells WHERE NOT finished
         GROUP BY cabinet_id, cell_number HAVING count(*) > 1
        UNION ALL
        SELECT 'I2', accumulator_id, 'accumulator in more than one unfinished booking'
          FROM booking_cells WHERE NOT finished AND accumulator_id IS NOT NULL
         GROUP BY accumulator_id HAVING count(*) > 1
        UNION ALL
        SELECT 'I3', booking_id::text, 'finished, but still holds a cell'
          FROM bookings b
         WHERE finished_at IS NOT NULL AND EXISTS (
               SELECT FROM booking_cells h WHERE h.booking_id = b.booking_id AND NOT h.finished)
        UNION ALL
        SELECT 'I3', booking_id::text, 'status ' || status || ' without a command that explains it'
          FROM bookings b
         WHERE status = 'unlocking' AND NOT EXISTS (
               SELECT FROM commands c WHERE c.command_id = b.command_id
                  AND c.status IN ('pending', 'published', 'no_answer'))
        UNION ALL
        SELECT 'I3', booking_id || '/' || cell_number, 'issued more than once in the ledger'
          FROM (SELECT m.booking_id, m.from_cell_number AS cell_number FROM latest m
                 WHERE m.cause = 'issued' AND m.booking_id IS NOT NULL
                 GROUP BY m.booking_id, m.from_cell_number, m.accumulator_id
                HAVING count(*) > 1) twice
        UNION ALL
        SELECT 'I4', booking_id::text, 'more than one unlock in doubt'
          FROM commands WHERE status IN ('pending', 'published', 'no_answer')
           AND booking_id IS NOT NULL
         GROUP BY booking_id HAVING count(*) > 1
        UNION ALL
        SELECT 'I6', a.accumulator_id, 'the ledger does not give the present place'
          FROM accumulators a
          LEFT JOIN LATERAL (SELECT * FROM movements m WHERE m.accumulator_id = a.accumulator_id
                                AND m.at >= coalesce(a.moved_at, '-infinity')
                              ORDER BY movement_id DESC LIMIT 1) m ON true
         WHERE (m.movement_id IS NULL)
            OR (a.cabinet_id, a.cell_number, a.contractor_id, a.scooter_id) IS DISTINCT FROM
               (m.to_cabinet_id, m.to_cell_number, m.to_contractor_id, m.to_scooter_id)
        UNION ALL
        SELECT 'I6', m.accumulator_id, 'movement ' || m.movement_id || ' begins elsewhere'
          FROM latest m
               -- Nearly always within two months: the older parts of the ledger are not read then.
          LEFT JOIN LATERAL ((SELECT * FROM movements p
                               WHERE p.accumulator_id = m.accumulator_id
                                 AND p.movement_id < m.movement_id
                                 AND p.at >= m.at - interval '60 days'
                                 AND p.at < m.at + interval '1 day'
                               ORDER BY p.movement_id DESC LIMIT 1)
                             UNION ALL
                             (SELECT * FROM movements p
                               WHERE p.accumulator_id = m.accumulator_id
                                 AND p.movement_id < m.movement_id
                                 AND p.at < m.at - interval '60 days'
                               ORDER BY p.movement_id DESC LIMIT 1)
                             LIMIT 1) p ON true
         WHERE m.cause <> 'registered'
               -- What came before may be archived.
           AND m.at >= (SELECT coalesce(max(until_at), '-infinity') FROM archived_months
                         WHERE dropped_at IS NOT NULL)
               -- Registered again: two spellings of its id were merged.
           AND NOT EXISTS (SELECT FROM movements r
                            WHERE r.accumulator_id = m.accumulator_id
                              AND r.at >= m.at - interval '1 day'
                              AND r.movement_id > m.movement_id AND r.cause = 'registered')
           AND (p.movement_id IS NULL
                OR (m.from_cabinet_id, m.from_cell_number, m.from_contractor_id, m.from_scooter_id)
                   IS DISTINCT FROM
                   (p.to_cabinet_id, p.to_cell_number, p.to_contractor_id, p.to_scooter_id))
        UNION ALL
        SELECT 'I8', 'all', 'registered ' || registered || ', found ' || found
          FROM (SELECT count(*) AS registered,
                       count(cabinet_id) + count(contractor_id) + count(scooter_id)
                       + count(*) FILTER (WHERE status = 'retired')
                       + count(*) FILTER (WHERE status <> 'retired' AND num_nonnulls(
                             cabinet_id, contractor_id, scooter_id) = 0) AS found
                  FROM accumulators) sums
         WHERE registered <> found
         LIMIT 100"""  # noqa: S608 - a constant
    return tx.all(sql)
