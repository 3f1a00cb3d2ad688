"""Apply database migrations: invoked by hand and at deployment, not by HTTP."""

from pathlib import Path
from typing import Any

from psycopg2 import DatabaseError
from yoyo import get_backend, read_migrations
from yoyo.exceptions import LockTimeout

from shared import config, db, log
from shared.repo import events, grants

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_SECONDS = 10
"""How long to wait for another migration, seconds."""


class MigrationRunning(RuntimeError):
    """Another migration holds the lock; if that run died, invoke with {"break_lock": true}."""


class MigrationFailed(RuntimeError):
    """A migration failed: its name, and the server's message."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Apply the missing migrations in order, each in its own transaction, then the users' rights.

    `event`: {"break_lock": true} removes the lock that a killed run left behind; else {}.
    Return {"applied": [names], "version": name of the last}. Raises MigrationFailed; the migrations
    before the failed one stay applied. Raises UserUnusable.
    """
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
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
