"""Databases that are emptied after a test and used again, because cloning one takes longer."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from psycopg2 import sql

from local.postgres import Postgres
from tests.support import database

_MOST_BYTES_MORE = 4 * 2**20
"""A database that has grown by more than this is not used again."""

_SCHEMA = """
SELECT md5(string_agg(row, ',' ORDER BY row)) FROM (
    SELECT concat('class', oid, ':', xmin) AS row FROM pg_class
    WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat('column', attrelid, '.', attnum, ':', a.xmin) FROM pg_attribute a
    JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat('function', oid, ':', xmin) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat('trigger', oid, ':', xmin) FROM pg_trigger
    UNION ALL SELECT concat('constraint', oid, ':', xmin) FROM pg_constraint
    UNION ALL SELECT concat('schema', oid) FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT concat('extension', oid) FROM pg_extension
    UNION ALL SELECT concat('statistics', oid) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND reltuples > 0
    UNION ALL SELECT concat('setting', setconfig) FROM pg_db_role_setting
    JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
) schema
"""
_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'"
_DISCONNECT = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Pool:
    """Clones of a template, of which each is used by one test at a time."""

    def __init__(self, postgres: Postgres, template: str) -> None:
        self._postgres = postgres
        self._template = template
        self._free: list[str] = []
        with database.cloned(postgres, template) as url, closing(_connect(url)) as connection:
            cursor = connection.cursor()
            self._schema, self._bytes = _describe(cursor)
            self._empty = _statements(cursor)

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of an empty, migrated database, as the template is."""
        name = self._free.pop() if self._free else database.clone(self._postgres, self._template)
        try:
            yield self._postgres.url_of(name)
        finally:
            if self._is_empty_again(name):
                self._free.append(name)
            else:
                database.drop(self._postgres, name)

    def _is_empty_again(self, name: str) -> bool:
        """Empty a database; False if that does not restore it: its schema has changed, it grew."""
        try:
            with closing(_connect(self._postgres.url_of(name))) as connection:
                cursor = connection.cursor()
                cursor.execute(_DISCONNECT)
                schema, size = _describe(cursor)
                if schema != self._schema or size > self._bytes + _MOST_BYTES_MORE:
                    return False
                cursor.execute(self._empty)
                return True
        except psycopg2.Error:
            return False


def _connect(url: str) -> psycopg2.extensions.connection:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


def _describe(cursor: psycopg2.extensions.cursor) -> tuple[str, int]:
    """Return what identifies the schema, and the size in bytes."""
    cursor.execute(_SCHEMA)
    [(schema,)] = cursor.fetchall()
    cursor.execute("SELECT pg_database_size(current_database())")
    [(size,)] = cursor.fetchall()
    return schema, size


def _statements(cursor: psycopg2.extensions.cursor) -> sql.Composed:
    """Return the SQL that restores the rows and the numbering of this database."""
    parts: list[sql.Composable] = [sql.SQL("BEGIN; SET LOCAL session_replication_role = replica")]
    cursor.execute(_TABLES)
    for (table,) in cursor.fetchall():
        name = sql.Identifier(table)
        cursor.execute(sql.SQL("SELECT coalesce(json_agg(t), '[]') FROM {} t").format(name))
        [(rows,)] = cursor.fetchall()
        parts.append(sql.SQL("DELETE FROM {}").format(name))
        if rows:
            insert = "INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, {1})"
            parts.append(sql.SQL(insert).format(name, sql.Literal(json.dumps(rows))))
    cursor.execute(_SEQUENCES)
    for (sequence,) in cursor.fetchall():
        cursor.execute(
            sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(sequence))
        )
        [(value, is_called)] = cursor.fetchall()
        values = sql.Literal(sequence), sql.Literal(value), sql.Literal(is_called)
        parts.append(sql.SQL("SELECT setval({}, {}, {})").format(*values))
    return sql.SQL("; ").join([*parts, sql.SQL("COMMIT")])
