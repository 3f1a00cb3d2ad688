"""A read replica of a local PostgreSQL server, by streaming."""

from contextlib import closing
from pathlib import Path

import psycopg2

from local.postgres import Postgres


class Standby(Postgres):
    """A replica of all databases of `primary`, which must run when the replica is first started."""

    def __init__(self, primary: Postgres, directory: Path) -> None:
        super().__init__(directory, durable=False)
        self._primary = primary

    def _filling(self, executables: Path) -> list[str | Path]:
        primary = ["--dbname", self._primary.url_of("postgres")]
        options = [*primary, "--checkpoint=fast", "--write-recovery-conf"]
        return [executables / "pg_basebackup", *options]

    def make_synchronous(self) -> None:
        """From now on each commit of the primary waits until this replica has it."""
        for statement in (
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        ):
            _execute(self._primary, statement)

    def promote(self) -> None:
        """Make it the primary; return when it can be written to."""
        _execute(self, "SELECT pg_promote()")

    def pause(self) -> None:
        """Replay nothing more, while the primary goes on."""
        _execute(self, "SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Replay everything, and go on."""
        _execute(self, "SELECT pg_wal_replay_resume()")


def _execute(server: Postgres, statement: str) -> None:
    with closing(psycopg2.connect(server.url_of("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
