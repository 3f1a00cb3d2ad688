"""The local PostgreSQL keeps its data, ends with its parent, and reports why it cannot start."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import pytest

from local import CannotStart
from local.children import unprivileged_user
from local.postgres import Postgres
from tests.support.database import fast_directory
from tests.support.processes import ROOT, another_python, is_free
from tests.support.waiting import wait_until

OWNER = """
import sys
from pathlib import Path
from local.postgres import Postgres
print(Postgres(Path(sys.argv[1]), durable=False).start().url, flush=True)
sys.stdin.read()
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")


def execute(url: str, statement: str) -> Any:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else None


def test_a_restart_keeps_the_data(directory: Path) -> None:
    with Postgres(directory, durable=False) as first:
        execute(first.url, "CREATE TABLE kept AS SELECT 7 AS number")
    with Postgres(directory, durable=False) as second:
        assert execute(second.url, "SELECT number FROM kept") == [(7,)]


def test_a_killed_server_restarts_with_all_committed_data(directory: Path) -> None:
    with Postgres(directory, durable=False) as postgres:
        url = postgres.url
        execute(url, "CREATE TABLE kept (number int)")
        execute(url, "INSERT INTO kept VALUES (1)")
        postgres.kill()
        with pytest.raises(psycopg2.OperationalError):
            execute(url, "SELECT 1")
        assert postgres.start().url == url
        assert execute(url, "SELECT number FROM kept") == [(1,)]


def test_starting_a_running_server_changes_nothing(directory: Path) -> None:
    with Postgres(directory, durable=False) as postgres:
        url = postgres.url
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            assert postgres.start().url == url
            cursor.execute("SELECT 1")


def test_the_server_stops_when_its_parent_is_killed(directory: Path) -> None:
    with another_python(OWNER, directory) as (owner, url):
        execute(url, "SELECT 1")
        owner.kill()
        port = urlsplit(url).port or 0
        wait_until(lambda: is_free(port))


def test_a_start_waits_until_the_server_of_a_killed_parent_has_stopped(directory: Path) -> None:
    with another_python(OWNER, directory) as (owner, url):
        execute(url, "CREATE TABLE kept AS SELECT 7 AS number")
        owner.kill()
        owner.wait()
        with Postgres(directory, port=urlsplit(url).port or 0, durable=False) as postgres:
            assert postgres.url == url
            assert execute(url, "SELECT number FROM kept") == [(7,)]


def test_a_directory_in_use_is_refused_naming_the_process(directory: Path) -> None:
    with another_python(OWNER, directory) as (owner, url):
        with pytest.raises(CannotStart, match=f"in use by process {owner.pid}"):
            Postgres(directory, durable=False).start()
        execute(url, "SELECT 1")


def test_a_port_in_use_is_refused(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} cannot be used"):
            Postgres(directory, port=port, durable=False).start()


def test_a_corrupt_data_directory_is_refused_in_one_line(directory: Path) -> None:
    with Postgres(directory, durable=False):
        pass
    (directory / "data" / "PG_VERSION").unlink()
    with pytest.raises(CannotStart, match="not a valid data directory") as refused:
        Postgres(directory, durable=False).start()
    assert str(directory) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_directory_that_is_a_file_is_refused(directory: Path) -> None:
    (directory / "file").touch()
    with pytest.raises(CannotStart, match="cannot be used"):
        Postgres(directory / "file", durable=False).start()


def test_an_interrupted_first_start_is_repeated(directory: Path) -> None:
    (directory / "unfinished").mkdir()
    (directory / "unfinished" / "PG_VERSION").write_text("16\n")
    with Postgres(directory, durable=False) as postgres:
        assert execute(postgres.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_only_a_durable_server_uses_fsync(directory: Path, *, durable: bool, fsync: str) -> None:
    with Postgres(directory, durable=durable) as postgres:
        assert execute(postgres.url, "SHOW fsync") == [(fsync,)]
        assert execute(postgres.url, "SHOW synchronous_commit") == [("on",)]


def test_the_server_allows_300_connections(postgres: Postgres) -> None:
    assert execute(postgres.url, "SHOW max_connections") == [("300",)]


@as_root
def test_root_starts_the_server_as_an_unprivileged_user_in_a_private_directory(
    directory: Path,
) -> None:
    directory.chmod(0o700)
    with Postgres(directory / "deeper", durable=False) as postgres:
        assert execute(postgres.url, "SELECT 1") == [(1,)]
        pid = int((directory / "deeper" / "data" / "postmaster.pid").read_text().split()[0])
        assert Path(f"/proc/{pid}").stat().st_uid == unprivileged_user()
    assert directory.stat().st_mode & 0o777 == 0o700


@as_root
def test_an_unprivileged_user_can_start_a_server() -> None:
    nobody = unprivileged_user()
    python = Path(sys.executable).resolve()
    if not all(path.stat().st_mode & 0o001 for path in (python, *python.parents)):
        pytest.skip("this Python is in a directory that only root may enter")
    with fast_directory() as directory:
        shutil.chown(directory, nobody, nobody)
        command = [sys.executable, "-c", OWNER, str(directory)]
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            user=nobody,
            group=nobody,
            extra_groups=[],
            cwd=ROOT,
            check=True,
        )


def test_each_test_has_its_own_migrated_database(
    postgres: Postgres, template: str, database_url: str
) -> None:
    assert database_url != postgres.url_of(template)
    assert execute(database_url, "SELECT count(*) FROM cabinets") == [(0,)]


class Crashing(Postgres):
    """A server that loses a process three times just after it became ready."""

    crashes = 0

    def _make_database_and_users(self) -> None:
        while self.crashes < 3:
            self.crashes += 1
            connection = psycopg2.connect(self.url_of("postgres"))
            with closing(connection), suppress(ProcessLookupError):  # the crash before may end it
                os.kill(connection.info.backend_pid, signal.SIGKILL)
        super()._make_database_and_users()


def test_a_start_survives_crashes_of_the_new_server(directory: Path) -> None:
    with Crashing(directory, durable=False) as server:
        assert server.crashes == 3
        assert execute(server.url, "SELECT 1") == [(1,)]
