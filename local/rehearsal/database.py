"""The database and the user that Terraform declares, on a local PostgreSQL."""

from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from local.children import HOST
from local.postgres import Postgres
from local.rehearsal import Fault
from local.rehearsal.topology import Topology


def create(server: Postgres, directory: Path, topology: Topology, password: str) -> None:
    """Create the user, who can log in only with the password, and the database."""
    user = topology.one("yandex_mdb_postgresql_user").values["name"]
    database = topology.one("yandex_mdb_postgresql_database").values
    access_rules = directory / "data" / "pg_hba.conf"
    first = f"host all {user} {HOST}/32 scram-sha-256\n"
    access_rules.write_text(first + access_rules.read_text())
    owner = sql.Identifier(database["owner"])
    with closing(psycopg2.connect(server.url_of("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            cursor.execute(role.format(sql.Identifier(user), sql.Literal(password)))
            creation = sql.SQL("CREATE DATABASE {} OWNER {}")
            cursor.execute(creation.format(sql.Identifier(database["name"]), owner))
            cursor.execute("SELECT pg_reload_conf()")


def local_url(given: str, topology: Topology, server_url: str) -> str:
    """Return a function's DATABASE_URL with the local server as its host, without TLS.

    Raises Fault if it names another cluster than Terraform's, or does not require TLS.
    """
    url, server = urlsplit(given), urlsplit(server_url)
    cluster = topology.one("yandex_mdb_postgresql_cluster_v2").values["id"]
    if f"c-{cluster}." not in (url.hostname or ""):
        raise Fault(f"DATABASE_URL has the host {url.hostname}, not the cluster {cluster}")
    if "sslmode=verify-full" not in url.query:
        raise Fault("DATABASE_URL lacks sslmode=verify-full")
    return f"postgresql://{url.username}@{server.hostname}:{server.port}{url.path}"
