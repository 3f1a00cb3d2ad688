"""Apply database migrations; archive the ledger. Invoked by hand and at deployment, not by HTTP."""

from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import DatabaseError
from yoyo import get_backend, read_migrations
from yoyo.exceptions import LockTimeout

from shared import archive, config, db, log
from shared.repo import events, grants

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_SECONDS = 10
"""How long to wait for another migration, seconds."""


class MigrationRunning(RuntimeError):
    """Another migration holds the lock; if that run died, invoke with {"break_lock": true}."""


class MigrationFailed(RuntimeError):
    """A migration failed: its name, and the server's message."""


class NoArchive(RuntimeError):
    """There is no archive: set ARCHIVE_DIRECTORY; in the cloud, archive = true for Terraform."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply the missing migrations in order, each in its own transaction, then the users' rights.

    `event`: {"break_lock": true} removes the lock that a killed run left behind; else {}.
    {"archive": "2025-11"} archives the months before that one instead, {"restore": "2025-10"}
    loads an archived month into a table.
    Return {"applied": [names], "version": name of the last}, or what `archive` and `restore` did.
    Raises MigrationFailed; the migrations before the failed one stay applied. Raises
    UserUnusable, archive.ArchiveDiffers, NoArchive, and ValueError for what is not a month.
    """
    log.begin(config.settings().log_level, request_id=context.request_id)
    if "archive" in event or "restore" in event:
        return _archive(event)
    return _migrate(event)


def _archive(event: dict[str, Any]) -> dict[str, Any]:
    directory = config.settings().archive_directory
    if not directory:
        raise NoArchive(NoArchive.__doc__)
    with closing(psycopg2.connect(config.settings().database_url)) as connection:
        if "archive" in event:
            return archive.archive(connection, Path(directory), before=_month(event["archive"]))
        month = _month(event["restore"])
        return {"table": archive.restore(connection, Path(directory), month=month)}


def _month(text: str) -> date:
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()


def _migrate(event: dict[str, Any]) -> dict[str, Any]:
    settings = config.settings()
    backend = get_backend(settings.database_url)
    try:
        if event.get("break_lock"):
            backend.break_lock()
        migrations = read_migrations(str(MIGRATIONS))
        with backend.lock(LOCK_SECONDS):
            missing = backend.to_apply(migrations)
            for migration in missing:
                log.info("applying migration", migration=migration.id)
                try:
                    backend.apply_one(migration)
                except DatabaseError as error:
                    raise MigrationFailed(f"{migration.id}: {error}") from error
            _store_settings(settings)
        return {"applied": [m.id for m in missing], "version": migrations[-1].id}
    except LockTimeout as error:
        raise MigrationRunning(MigrationRunning.__doc__) from error
    finally:
        backend.connection.close()
        db.close()


def _store_settings(settings: config.Settings) -> None:
    """Store what only the owner may change: how long events are kept, and the users' rights."""
    with db.transaction() as tx:
        events.store_retention(tx, days=settings.event_keep_days)
        grants.apply(
            tx,
            functions_user=settings.database_functions_user,
            reader_user=settings.database_reader_user,
        )
