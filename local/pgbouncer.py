"""The local connection pooler: PgBouncer in transaction mode, as in a managed cluster."""

import signal
import socket
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from local import CannotStart
from local.children import HOST, find_program, free_port, make_directory, unprivileged_user
from local.postgres import DATABASE, OWNER, USERS, Postgres
from local.servers import Server

_CONFIGURATION = """\
[databases]
* = host={host} port={database_port}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = users.txt
pool_mode = transaction
max_client_conn = 2000
default_pool_size = {connections}
ignore_startup_parameters = extra_float_digits
# Tests create and drop databases: close idle pools soon.
autodb_idle_timeout = {idle_seconds}
server_idle_timeout = {idle_seconds}
server_login_retry = 0.1
# How long a transaction waits for a connection, also while the database is down. The default of
# two minutes exceeds the time limit of all functions.
query_wait_timeout = 1
log_connections = 0
log_disconnections = 0
"""


class PgBouncer(Server):
    """A pooler for all databases of `server`; it ends with this process.

    Each transaction may use another connection, so session state is lost. `connections`: how many
    each database and user has; each is closed after `idle_seconds`.
    """

    def __init__(
        self, server: Postgres, directory: Path, *, connections: int = 20, idle_seconds: int = 5
    ) -> None:
        super().__init__("pgbouncer", directory, stop_signal=signal.SIGTERM)
        self._server = server
        self._connections = connections
        self._idle_seconds = idle_seconds
        self._port = 0

    @property
    def url(self) -> str:
        """The URL of the service's database through the pooler."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Return the URL of another database through the pooler."""
        return f"postgresql://{OWNER}@{HOST}:{self._port}/{database}"

    def start(self) -> Self:
        """Start the pooler, even if the database does not run. Raises CannotStart."""
        if self.pid is None:
            executable = find_pgbouncer()
            if executable is None:
                raise CannotStart("pgbouncer is not installed: install it, or omit --pgbouncer")
            user = unprivileged_user()
            make_directory(self._directory, owner=user)
            self._port = self._port or free_port()
            (self._directory / "pgbouncer.ini").write_text(self._configuration())
            logins = [f'"{name}" ""\n' for name in (OWNER, *USERS.values())]
            (self._directory / "users.txt").write_text("".join(logins))
            self._child.start(
                [executable, "pgbouncer.ini"],
                port=self._port,
                ready=self._is_ready,
                cwd=self._directory,
                user=user,
            )
        return self

    def _configuration(self) -> str:
        server = urlsplit(self._server.url)
        return _CONFIGURATION.format(
            host=HOST,
            port=self._port,
            database_port=server.port,
            connections=self._connections,
            idle_seconds=self._idle_seconds,
        )

    def _is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self._port)) == 0


def find_pgbouncer() -> str | None:
    """Return PgBouncer's executable, or None if it is not installed."""
    return find_program("pgbouncer")
