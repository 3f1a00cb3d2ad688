"""The benchmarks' database: a durable PostgreSQL with the service's tables."""

import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import psycopg2

from functions.migrate import main as migrate
from local.functions import FunctionPool
from local.postgres import FUNCTIONS_USER, USERS, Postgres, url_for
from shared import config

MEMORY = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
"""As on a small database host; the local cloud's 32 MB would measure the page cache instead."""
_NO_NOTICES = "-c client_min_messages=warning"  # psycopg2 loses a Ctrl-C that comes before one
_SECONDS_TO_END = 10
_TICKS = os.sysconf("SC_CLK_TCK")


class Database:
    """Direct access to the server, on a connection of its own."""

    def __init__(self, server: Postgres) -> None:
        self.url = server.url
        self.pid = server.pid or 0
        self._connection = psycopg2.connect(
            server.url, application_name="benchmark", options=_NO_NOTICES
        )
        self._connection.autocommit = True

    @property
    def functions_url(self) -> str:
        """The URL for the functions' user."""
        return url_for(FUNCTIONS_USER, self.url)

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement with %(name)s parameters; return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, **values: Any) -> Any:
        """Run a statement that returns a single value."""
        [[value]] = self.sql(statement, **values)
        return value

    def wal(self) -> int:
        """Bytes of write-ahead log written since the server was initialized."""
        return int(self.one("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def settle(self) -> None:
        """Run what the server would later run in the background: statistics, vacuum, checkpoint.

        Afterwards the first change of each page logs the whole page.
        """
        self.sql("VACUUM ANALYZE")
        self.sql("CHECKPOINT")

    def processes(self) -> list[int]:
        """Process ids of the server: the main one, and those of connections and tasks."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]

    def cpu_seconds(self) -> float:
        """CPU time of all processes of the server, including ended ones."""
        return sum(map(_cpu_seconds, self.processes()))

    def wait_until_alone(self) -> None:
        """Wait until the server has closed all connections of the functions."""
        deadline = time.monotonic() + _SECONDS_TO_END
        count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'accumulators'"
        while self.one(count):
            if time.monotonic() > deadline:
                raise TimeoutError(f"connections were not closed within {_SECONDS_TO_END} s")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def running() -> Iterator[Database]:
    """A new server with the service's empty tables; the functions' settings point to it."""
    with (
        tempfile.TemporaryDirectory(prefix="accumulator-bench-") as directory,
        Postgres(Path(directory), settings=MEMORY) as server,
        settings(DATABASE_URL=server.url, **USERS),
    ):
        pool = FunctionPool({"migrate": migrate.handler})
        try:
            with redirect_stdout(io.StringIO()):
                pool.invoke("migrate", {}, timeout=60)
        finally:
            pool.close()
        database = Database(server)
        try:
            yield database
        finally:
            database.close()


@contextmanager
def settings(**variables: str) -> Iterator[None]:
    """Set environment variables for the functions; restore them afterwards."""
    environment = os.environ  # noqa: TID251 - what the deployed code reads is set here
    before = {name: environment.get(name) for name in variables}
    environment.update(variables)
    config.settings.cache_clear()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del environment[name]
            else:
                environment[name] = value
        config.settings.cache_clear()


@contextmanager
def one_core(database: Database) -> Iterator[None]:
    """Pin this process and the server's present and future processes to one core."""
    every = os.sched_getaffinity(0)
    _pin(database, {min(every)})
    try:
        yield
    finally:
        _pin(database, every)


def _pin(database: Database, cores: set[int]) -> None:
    for pid in [0, *database.processes()]:
        with suppress(ProcessLookupError):  # a background task that has ended meanwhile
            os.sched_setaffinity(pid, cores)


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process and of its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # a connection that has ended meanwhile
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
