"""The stock over time, sampled once a minute, and the unlocks of a period."""

from shared.db import Row, Tx

SAMPLE_DAYS = 31


def add_sample(tx: Tx, *, min_charge: int, offline_after: float) -> None:
    """Add this minute's sample of the active cabinets, unless there is one."""
    sql = """
        INSERT INTO stock_samples (at, ready, free, online, active)
        SELECT date_trunc('minute', now()), coalesce(sum(s.ready), 0), coalesce(sum(s.free), 0),
               count(*) FILTER (WHERE NOT signed_off AND last_seen_at
                                > now() - make_interval(secs => %(offline_after)s)),
               count(*)
          FROM cabinets
          JOIN (SELECT cabinet_id,
                       count(*) FILTER (WHERE issuable AND battery_charge >= %(min_charge)s)
                       AS ready,
                       count(*) FILTER (WHERE free) AS free
                  FROM stock GROUP BY cabinet_id) s USING (cabinet_id)
         WHERE status = 'active'
               -- Otherwise nothing is counted, and the row conflicts.
           AND NOT EXISTS (SELECT FROM stock_samples WHERE at = date_trunc('minute', now()))
        ON CONFLICT DO NOTHING"""
    tx.execute(sql, {"min_charge": min_charge, "offline_after": offline_after})


def prune_samples(tx: Tx) -> int:
    """Delete samples that are older than SAMPLE_DAYS; return how many."""
    sql = "DELETE FROM stock_samples WHERE at < now() - make_interval(days => %(days)s)"
    return tx.execute(sql, {"days": SAMPLE_DAYS})


def stock(tx: Tx, *, hours: int, step_s: int) -> list[Row]:
    """Return the last sample of each step, oldest first; `at` is the step's beginning."""
    sql = """
        SELECT DISTINCT ON (step)
               to_timestamp(step * %(step_s)s) AS at, ready, free, online, active
          FROM (SELECT *, floor(extract(epoch FROM at) / %(step_s)s) AS step
                  FROM stock_samples
                 WHERE at > now() - make_interval(hours => %(hours)s) AND at <= now()) s
         ORDER BY step, s.at DESC"""
    return tx.all(sql, {"hours": hours, "step_s": step_s})


def unlocks(tx: Tx, *, hours: int, step_s: int) -> list[Row]:
    """Return the unlocks created in each step, oldest first, with the cabinets' response times."""
    sql = """
        SELECT to_timestamp(step * %(step_s)s) AS at, count, failed,
               percentiles[1] AS p50_ms, percentiles[2] AS p99_ms
          FROM (SELECT step, count(*) AS count,
                       count(*) FILTER (WHERE status <> ALL (
                           '{pending,published,succeeded,partially_succeeded}')) AS failed,
                       percentile_cont('{0.5,0.99}'::float8[]) WITHIN GROUP (ORDER BY ms)
                       AS percentiles
                  FROM (SELECT status,
                               floor(extract(epoch FROM created_at) / %(step_s)s) AS step,
                               CASE WHEN NOT inferred AND status = ANY (
                                             '{succeeded,partially_succeeded,failed,rejected}')
                                    THEN greatest(0, 1000 * extract(epoch FROM finished_at
                                             - coalesce(published_at, created_at)))::float8
                               END AS ms
                          FROM current_commands
                         WHERE kind = 'unlock' AND cabinet_id IS NOT NULL
                           AND created_at > now() - make_interval(hours => %(hours)s)
                           AND created_at <= now()) c
                 GROUP BY step) t
         ORDER BY step"""
    return tx.all(sql, {"hours": hours, "step_s": step_s})
