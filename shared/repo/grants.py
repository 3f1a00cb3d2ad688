"""What each database user may do. The owner may do everything; `migrate` grants the rest.

Every table and view needs an entry in TABLES, also if nobody but the owner may use it; a partition
needs none, because rights on its parent apply. A test compares the entries with the statements of
`shared/repo`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from shared.db import Tx


class Rights(NamedTuple):
    """Privileges on a table, as GRANT takes them; empty: none."""

    functions: str = ""
    """Of the user that the functions connect as."""
    reader: str = ""
    """Of the user for a data warehouse: nothing secret, nothing internal."""


_READ = "SELECT"
_CHANGE = "SELECT, INSERT, UPDATE"
_ALL_ROWS = "SELECT, INSERT, UPDATE, DELETE"

TABLES = {
    "accumulators": Rights(_CHANGE, _READ),
    "allowances": Rights(_CHANGE),
    # A payload is whatever a device has sent.
    "anomalies": Rights(
        _ALL_ROWS,
        "SELECT (anomaly_id, at, reason, detail, device_id, cabinet_id, event_id, first_at, count,"
        " counted, accumulator_id, open, acknowledged_at, acknowledged_by, acknowledged_note)",
    ),
    "archived_months": Rights(_READ, _READ),
    "booking_cells": Rights(_CHANGE, _READ),
    "bookings": Rights(_ALL_ROWS, _READ),
    "boots": Rights(_ALL_ROWS, _READ),
    "cabinets": Rights(_ALL_ROWS, _READ),
    "cells": Rights(_ALL_ROWS, _READ),
    "commands": Rights(_ALL_ROWS, _READ),
    # Not the pseudonym: an erasure writes it into the ledger, where it could name somebody else.
    "contractor_pseudonyms": Rights(
        "SELECT, INSERT (contractor_id, erase_before), UPDATE (erase_before)"
    ),
    # The functions of the schema write, number and remove events.
    "event_outbox": Rights(_READ),
    "events": Rights(_READ, _READ),
    "feed": Rights("SELECT, UPDATE (min_issue_charge, offline_after_seconds)"),
    "idempotency_keys": Rights(_ALL_ROWS),
    "movements": Rights("SELECT, INSERT", _READ),
    "removals": Rights("", _READ),
    "stock_samples": Rights("SELECT, INSERT, DELETE", _READ),
    # A receiver's URL may contain its secret.
    "webhooks": Rights(_ALL_ROWS),
    # Views
    "current_bookings": Rights(_READ, _READ),
    "current_commands": Rights(_READ, _READ),
    "holds": Rights(_READ, _READ),
    "movement_partitions": Rights(),
    "stock": Rights(_READ, _READ),
    # Of yoyo, which applies the migrations
    "_yoyo_log": Rights(),
    "_yoyo_migration": Rights(),
    "_yoyo_version": Rights(),
    "yoyo_lock": Rights(),
}

FUNCTIONS = (
    "add_movement_partitions(integer)",
    "caller()",
    "erase_some(text)",
    "prune_events(integer)",
    "renamed(text,text,text)",
    "sequence_events(integer)",
)
"""Functions that the functions' user may execute. The triggers' functions need no right."""


class UserUnusable(RuntimeError):
    """A user in the settings cannot be given rights; the message says why."""


def apply(tx: Tx, *, functions_user: str, reader_user: str) -> None:
    """Give each user exactly its rights on what the connected user owns.

    An empty name: there is no such user. As soon as there is one, everybody loses what PostgreSQL
    allows by default: executing the schema's functions, and making tables, also temporary ones.
    Raises UserUnusable.
    """
    users = {user: kind for user, kind in ((functions_user, 0), (reader_user, 1)) if user}
    if not users:
        return
    for user in users:
        _check(tx, user)
    statements = [*_revocations(tx, ", ".join(["PUBLIC", *map(_quoted, users)]))]
    for user, kind in users.items():
        statements.append(f"GRANT USAGE ON SCHEMA public TO {_quoted(user)}")
        statements += [
            f"GRANT {rights[kind]} ON {_quoted(table)} TO {_quoted(user)}"
            for table, rights in TABLES.items()
            if rights[kind]
        ]
    if functions_user:
        execution = f"GRANT EXECUTE ON FUNCTION {', '.join(FUNCTIONS)}"
        statements.append(f"{execution} TO {_quoted(functions_user)}")
    tx.execute("; ".join(statements))


def _check(tx: Tx, user: str) -> None:
    sql = """
        SELECT rolsuper OR pg_has_role(rolname, current_user, 'MEMBER') AS is_owner
          FROM pg_roles WHERE rolname = %(user)s"""
    role = tx.first(sql, {"user": user})
    if role is None:
        raise UserUnusable(f"there is no database user {user!r}: create it, or name no user")
    if role["is_owner"]:
        raise UserUnusable(f"database user {user!r} has the owner's rights: name another user")


def _revocations(tx: Tx, users: str) -> Iterator[str]:
    """Revoke whatever was granted, by whichever release."""
    sql = """
        SELECT 'TABLE ' || oid::regclass AS object FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = ANY ('{r,p,v,m}')
           AND pg_has_role(relowner, 'MEMBER')
        UNION ALL
        SELECT 'ROUTINE ' || oid::regprocedure FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND pg_has_role(proowner, 'MEMBER')
        UNION ALL
        SELECT 'DATABASE ' || quote_ident(current_database())"""
    for row in tx.all(sql):
        privilege = "TEMPORARY" if row["object"].startswith("DATABASE ") else "ALL"
        yield f"REVOKE {privilege} ON {row['object']} FROM {users}"
    yield f"REVOKE CREATE ON SCHEMA public FROM {users}"


def _quoted(name: str) -> str:
    """Quote a name of the settings or of this module, which has no quotes."""
    return f'"{name}"'
