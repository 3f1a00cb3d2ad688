"""Requests that wait in the database until a command is settled."""

from tests.support.service import Service

SECONDS = 30
"""Time limit for one step of a test, on a busy machine."""


def waiting_callers(service: Service) -> int:
    """Return how many requests are waiting now."""
    [row] = service.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %(wait)s"
        " AND datname = current_database() AND pid <> pg_backend_pid()",
        wait="%DO $wait$%",
    )
    return int(row["count"])
