"""Requests that wait until a command is settled."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared import db
from tests.support.service import Service

SECONDS = 30
"""Time limit for one step of a test, on a busy machine."""


def idle_in_database(service: Service) -> bool:
    """Whether no connection but this one runs a statement or has a transaction open."""
    [row] = service.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE state <> 'idle' AND backend_type ="
        " 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()"
    )
    return int(row["count"]) == 0


@contextmanager
def connected() -> Iterator[None]:
    """Close this thread's connection at the end."""
    try:
        yield
    finally:
        db.close()
