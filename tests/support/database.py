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
from local.postgres import FUNCTIONS_USER, USERS, Postgres, url_for
from shared import config
from tests.support import state_guard
from tests.support.cloud import Context

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - for its speed; the directories in it are made safely
_MIN_FREE_BYTES = 512 * 2**20

POOLED = False
"""Whether the service connects through PgBouncer: the option `pytest --pgbouncer`."""

_WITHOUT_POOLER: dict[str, str] = {}


class PooledPostgres(Postgres):
    """A server with PgBouncer in front of it, which the tests' own statements bypass."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, durable=False)
        self.pooler = PgBouncer(self, directory / "pooler")

    def start(self) -> Self:
        """Start the server, and restart the pooler so that it forgets earlier failures."""
        super().start()
        self.pooler.stop()
        self.pooler.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.pooler.stop()
        super().__exit__(*error)


def server(directory: Path) -> Postgres:
    """Return a PostgreSQL server for tests, which is not started yet."""
    return PooledPostgres(directory) if POOLED else Postgres(directory, durable=False)


@contextmanager
def fast_directory() -> Iterator[Path]:
    """A temporary directory, in memory if there is enough space."""
    parent = _SHARED_MEMORY if _has_space(_SHARED_MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="accumulator-", dir=parent) as path:
        yield Path(path)
        # The server of a killed process may still write here.
        for lock in Path(path).glob("*.lock"):
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)


def _has_space(directory: Path) -> bool:
    return directory.is_dir() and shutil.disk_usage(directory).free >= _MIN_FREE_BYTES


def make_template(postgres: Postgres) -> str:
    """Create a database with the service's tables and the state guard, and return its name."""
    name = "template_of_tests"
    _run(postgres, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    migrate(postgres.url_of(name))
    query(postgres.url_of(name), state_guard.statements())
    return name


def migrate(url: str) -> None:
    """Apply all migrations to a local database, and give its users their rights."""
    invoke_migrate(url)


def invoke_migrate(url: str, **event: Any) -> dict[str, Any]:
    """Invoke the function `migrate`, which alone connects as the owner; return its response."""
    from functions.migrate.main import handler  # noqa: PLC0415 - only tests with a database need it

    try:
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in {"DATABASE_URL": url, "LOG_LEVEL": "WARNING", **USERS}.items():
                patch.setenv(variable, value)
            config.settings.cache_clear()
            return handler(event, Context())
    finally:
        config.settings.cache_clear()


@contextmanager
def cloned(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of a new database, which is dropped afterwards even if somebody is connected."""
    name = clone(postgres, template)
    try:
        url = (postgres.pooler if isinstance(postgres, PooledPostgres) else postgres).url_of(name)
        _WITHOUT_POOLER[url] = postgres.url_of(name)
        yield url
    finally:
        drop(postgres, name)


def clone(postgres: Postgres, template: str) -> str:
    """Create a database like the template; return its name."""
    name = f"test_{uuid4().hex}"
    names = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    create = "CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
    _run(postgres, sql.SQL(create).format(**names))
    return name


def drop(postgres: Postgres, name: str) -> None:
    """Drop a database even if somebody is connected."""
    _run(postgres, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def migrated_before(version: str, postgres: Postgres, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a new database with the migrations before `version`.

    The function `migrate` applies the others to it.
    """
    from functions.migrate import main  # noqa: PLC0415 - as above

    with cloned(postgres, "template0") as url, tempfile.TemporaryDirectory() as folder:
        for path in main.MIGRATIONS.glob("*.sql"):
            if path.stem < version:
                shutil.copy(path, folder)
        patch.setenv("DATABASE_URL", url)
        config.settings.cache_clear()
        with pytest.MonkeyPatch.context() as earlier:
            earlier.setattr(main, "MIGRATIONS", Path(folder))
            earlier.setattr(main, "_store_settings", lambda _settings: None)  # since 0018
            main.handler({}, Context())
        yield url
    config.settings.cache_clear()


def for_functions(url: str) -> str:
    """Return the URL of the same database for the functions' user, whose rights are limited."""
    return url_for(FUNCTIONS_USER, url)


def without_pooler(url: str) -> str:
    """Return the URL of the same database without the pooler."""
    return _WITHOUT_POOLER.get(url, url)


def query(url: str, statement: str) -> list[Any]:
    """Run a statement and return its rows."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _run(postgres: Postgres, statement: sql.Composed) -> None:
    with closing(psycopg2.connect(postgres.url_of("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
