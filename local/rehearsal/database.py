"""The database and the users that Terraform declares, on a local PostgreSQL."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql

from local.children import HOST
from local.postgres import Postgres
from local.rehearsal import Fault
from local.rehearsal.topology import Topology


def create(
    server: Postgres, directory: Path, topology: Topology, passwords: Mapping[str, str]
) -> None:
    """Create the users, who can log in only with their passwords, and the database.

    Besides the owner, only users with a permission for the database can connect to it.
    `passwords`: by the name of the user.
    """
    database = topology.one("yandex_mdb_postgresql_database").values
    users = [one.values for one in topology.all("yandex_mdb_postgresql_user")]
    access_rules = directory / "data" / "pg_hba.conf"
    first = [f"host all {user['name']} {HOST}/32 scram-sha-256\n" for user in users]
    access_rules.write_text("".join(first) + access_rules.read_text())
    names = {
        "database": sql.Identifier(database["name"]),
        "owner": sql.Identifier(database["owner"]),
    }
    with closing(psycopg2.connect(server.url_of("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for user in users:
                role = {"user": sql.Identifier(user["name"])}
                cursor.execute(sql.SQL("DROP ROLE IF EXISTS {user}").format(**role))
                password = sql.Literal(passwords[user["name"]])
                creation = sql.SQL("CREATE ROLE {user} LOGIN PASSWORD {password}")
                cursor.execute(creation.format(**role, password=password))
            cursor.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))
            closing_it = sql.SQL("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
            cursor.execute(closing_it.format(**names))
            for user in users:
                if {"database_name": database["name"]} in (user["permission"] or []):
                    permission = sql.SQL("GRANT CONNECT ON DATABASE {database} TO {user}")
                    role = {"user": sql.Identifier(user["name"])}
                    cursor.execute(permission.format(**names, **role))
            cursor.execute("SELECT pg_reload_conf()")


def local_url(given: str, topology: Topology, server_url: str) -> str:
    """Return a function's database URL with the local server as its host, without TLS.

    Raises Fault if it does not name all hosts of Terraform's cluster, or does not require TLS.
    """
    url, server = urlsplit(given), urlsplit(server_url)
    hosts = topology.one("yandex_mdb_postgresql_cluster_v2").values["hosts"].values()
    named = set(url.netloc.rpartition("@")[2].split(","))
    if named != {f"{host['fqdn']}:6432" for host in hosts}:
        raise Fault(f"a database URL names {', '.join(sorted(named))}, not the cluster's hosts")
    if "sslmode=verify-full" not in url.query:
        raise Fault("a database URL lacks sslmode=verify-full")
    return f"postgresql://{url.username}@{server.hostname}:{server.port}{url.path}"
