"""Databases for tests: migrated once, then cloned for each test."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql

from local.pgbouncer import PgBouncer
from local.postgres import Postgres
from shared import config
from tests.cloud import Context

_MEMORY = Path("/dev/shm")  # noqa: S108 - for its speed; the directories in it are made safely
_ENOUGH = 512 * 2**20

POOLED = False
"""Whether the service reaches its databases through PgBouncer: pytest --pgbouncer."""

_DIRECT: dict[str, str] = {}


class Pooled(Postgres):
    """A server with a pooler before it; the tests' own statements go past that."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, durable=False)
        self.pooler = PgBouncer(self, directory / "pooler")

    def start(self) -> Self:
        """Start the server; the pooler begins anew, so that it knows of no failure before."""
        super().start()
        self.pooler.stop()
        self.pooler.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.pooler.stop()
        super().__exit__(*error)


def server(directory: Path) -> Postgres:
    """A PostgreSQL server for tests, to be started."""
    return Pooled(directory) if POOLED else Postgres(directory, durable=False)


@contextmanager
def fast_directory() -> Iterator[Path]:
    """A temporary directory, in memory where there is enough of it."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ENOUGH
    with tempfile.TemporaryDirectory(prefix="accumulator-", dir=_MEMORY if roomy else None) as path:
        yield Path(path)
        for lock in Path(path).glob("*.lock"):  # a killed parent's server may still write here
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)


def make_template(postgres: Postgres) -> str:
    """The name of a new database with the service's tables, to be cloned."""
    from functions.migrate.main import handler  # noqa: PLC0415 - only tests with a database need it

    name = "template_of_tests"
    _run(postgres, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", postgres.url_of(name))
        config.settings.cache_clear()
        handler({}, Context())
    config.settings.cache_clear()
    return name


@contextmanager
def cloned(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of a database of its own, which goes away afterwards whoever is connected."""
    name = f"test_{uuid4().hex}"
    names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    create = "CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
    _run(postgres, sql.SQL(create).format(**names))
    try:
        url = (postgres.pooler if isinstance(postgres, Pooled) else postgres).url_of(name)
        _DIRECT[url] = postgres.url_of(name)
        yield url
    finally:
        _run(postgres, sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


def direct(url: str) -> str:
    """Where the same database is without a pooler."""
    return _DIRECT.get(url, url)


def query(url: str, statement: str) -> list[Any]:
    """Run a statement there; its rows."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _run(postgres: Postgres, statement: sql.Composed) -> None:
    with closing(psycopg2.connect(postgres.url_of("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
