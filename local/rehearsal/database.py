"""The database that Terraform asked for: its user, with a password, and its owner's database."""

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
    """Make user and database, and let the user in by password only."""
    user = topology.one("yandex_mdb_postgresql_user").values["name"]
    database = topology.one("yandex_mdb_postgresql_database").values
    rules = directory / "data" / "pg_hba.conf"
    rules.write_text(f"host all {user} {HOST}/32 scram-sha-256\n{rules.read_text()}")
    owner = sql.Identifier(database["owner"])
    with closing(psycopg2.connect(server.url_of("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            cursor.execute(role.format(sql.Identifier(user), sql.Literal(password)))
            made = sql.SQL("CREATE DATABASE {} OWNER {}")
            cursor.execute(made.format(sql.Identifier(database["name"]), owner))
            cursor.execute("SELECT pg_reload_conf()")


def local_url(given: str, topology: Topology, server_url: str) -> str:
    """A function's DATABASE_URL with this machine's server instead of the cluster, without TLS.

    User and database stay as they are. Raises Fault if it leads to another cluster.
    """
    url, ours = urlsplit(given), urlsplit(server_url)
    cluster = topology.one("yandex_mdb_postgresql_cluster_v2").values["id"]
    if f"c-{cluster}." not in (url.hostname or ""):
        raise Fault(f"DATABASE_URL leads to {url.hostname}, not to the cluster {cluster}")
    if "sslmode=verify-full" not in url.query:
        raise Fault("DATABASE_URL does not ask for sslmode=verify-full")
    return f"postgresql://{url.username}@{ours.hostname}:{ours.port}{url.path}"
