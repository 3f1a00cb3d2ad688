"""Rare queries, and those that run every minute, do not read the rows of past years."""

from collections.abc import Callable
from functools import partial
from typing import Any

from shared import db
from shared.db import Tx
from shared.repo import anomalies, bookings, commands, idempotency, stats
from tests.support import state_guard
from tests.support.service import Service

ROWS = 5_000
_YEARS = """
    INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)
    VALUES ('C-1', 'C-1', 55, 37, 'native.v1', 12);
    INSERT INTO bookings (booking_id, cabinet_id, contractor_id, kind, status, requested,
                          min_charge, created_at, expires_at, finished_at)
    SELECT gen_random_uuid(), 'C-1', 'T-' || n %% 100, 'issue', 'completed', 1, 80, at, at, at
      FROM generate_series(1, %(rows)s) n, LATERAL (SELECT now() - n * interval '1 hour' AS at) t
     WHERE n > 24;
    INSERT INTO commands (command_id, cabinet_id, kind, payload, booking_id, status, requested_by,
                          created_at, deadline, finished_at)
    SELECT gen_random_uuid(), cabinet_id, 'unlock', '{"cells": [1]}', booking_id, 'succeeded', 'us',
           created_at, created_at, created_at FROM bookings;
    INSERT INTO anomalies (at, reason, device_id, cabinet_id, event_id, payload)
    SELECT now() - interval '29 days', 'malformed', 'C-1', 'C-1', n::text, ''
      FROM generate_series(1, %(rows)s) n;
    INSERT INTO idempotency_keys (caller, route, key, fingerprint, request_id, claimed_until)
    SELECT 'us', 'POST', n::text, '', gen_random_uuid(), now() FROM generate_series(1, %(rows)s) n;
    ANALYZE"""
_READ = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) AS n FROM pg_stat_xact_user_tables"


def _filter(status: str) -> dict[str, Any]:
    names = ("cabinet_id", "contractor_id", "requested_by", "before_at", "before_id")
    every = dict.fromkeys(names)
    return {**every, "status": status, "limit": 50}


QUERIES: dict[str, Callable[[Tx], object]] = {
    "time out overdue commands": commands.time_out_overdue,
    "prune polls": commands.prune_polls,
    "prune idempotency keys": lambda tx: idempotency.prune(tx, hours=24, limit=1000),
    "prune anomalies": lambda tx: anomalies.prune(tx, days=90, limit=1000),
    "find bookings to expire": bookings.cabinets_with_due,
    "find commands past the reconcile window": lambda tx: commands.past_reconcile_window(tx, 600),
    "count the outcomes of the day": stats.outcomes,
    "measure the answer times of the day": stats.answer_times,
    **{
        f"list bookings that are {status}": partial(bookings.listing, query=_filter(status))
        for status in ("active", "unlocking", "failed", "cancelled", "expired")
    },
}


def rows_read(tx: Tx, query: Callable[[Tx], object]) -> int:
    """Return how many rows the database reads for a query."""
    before = tx.one(_READ)["n"]
    query(tx)
    return int(tx.one(_READ)["n"] - before)


def test_rare_and_frequent_queries_do_not_read_the_rows_of_past_years(service: Service) -> None:
    service.sql(f"{state_guard.OFF}; {_YEARS}", rows=ROWS)
    with db.transaction() as tx:
        read = {name: rows_read(tx, query) for name, query in QUERIES.items()}
    assert {name: rows for name, rows in read.items() if rows > ROWS / 50} == {}
