"""Manage the deployment's secrets: files in terraform/.secrets, in neither git nor the state.

    secret_files.py                    make missing secrets; keep existing ones
    secret_files.py key NAME SCOPE     add an API key (read, backend or operator), print it once
    secret_files.py revoke NAME        remove an API key
    secret_files.py rotate [USER ...]  make new passwords of these database users: owner, functions,
                                       reader; without a name, of all three
    secret_files.py mqtt LOGIN         store the password of a login, service or bridge, at a broker
                                       of your own; asks for it, or reads it from standard input

The next apply updates Lockbox, the database and the functions.
"""
# ruff: noqa: INP001, T201 - a script that prints

import argparse
import getpass
import hashlib
import re
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / ".secrets"
SCOPES = ("read", "backend", "operator")
DATABASE_PASSWORDS = {
    "owner": "database_password",  # the only user in earlier releases
    "functions": "database_functions_password",
    "reader": "database_reader_password",
}
"""The file of each database user's password."""


def make_missing(folder: Path) -> None:
    """Make missing passwords, the webhooks' master secret, and a first API key: an operator's."""
    _write(folder / ".gitignore", "*")
    for name in (*DATABASE_PASSWORDS.values(), "webhooks_secret"):
        if not (folder / name).exists():
            _write(folder / name, _password())
    if not (folder / "api_keys").exists():
        _write(folder / "operator_key", add_key(folder, "operator", "operator"))
        print(f"created secrets in {folder}: keep a copy that only deployers can read")


def add_key(folder: Path, name: str, scope: str) -> str:
    """Make an API key and return it; `api_keys` stores only its SHA-256."""
    if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
        raise SystemExit(
            f"{name!r} is not a valid name: use 1 to 32 lower-case letters, digits and hyphens"
        )
    entries = _entries(folder)
    if any(entry.startswith(f"{name}:") for entry in entries):
        raise SystemExit(f"API key {name} exists already; revoke it first")
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    _write(folder / "api_keys", ",".join([*entries, f"{name}:{scope}:{digest}"]))
    return key


def revoke_key(folder: Path, name: str) -> None:
    """Remove an API key; refused for the last one."""
    entries = _entries(folder)
    kept = [entry for entry in entries if not entry.startswith(f"{name}:")]
    if len(kept) == len(entries):
        raise SystemExit(f"no API key is named {name}")
    if not kept:
        raise SystemExit(f"{name} is the last API key; add another one first")
    _write(folder / "api_keys", ",".join(kept))


def rotate_passwords(folder: Path, users: Iterable[str]) -> None:
    """Make new passwords of these database users; of all, if none is named."""
    users = [*users] or [*DATABASE_PASSWORDS]
    if unknown := [user for user in users if user not in DATABASE_PASSWORDS]:
        raise SystemExit(
            f"there is no database user {unknown[0]}; use {', '.join(DATABASE_PASSWORDS)}"
        )
    for user in users:
        _write(folder / DATABASE_PASSWORDS[user], _password())


def store_mqtt_password(folder: Path, login: str, password: str) -> None:
    """Store the password of the login `service` or `bridge` at a broker of your own."""
    if not password or re.search(r"\s", password):
        raise SystemExit(
            f"the password of {login} is empty or contains a space; nothing was stored"
        )
    _write(folder / f"mqtt_{login}_password", password)


def _entries(folder: Path) -> list[str]:
    file = folder / "api_keys"
    return file.read_text().split(",") if file.exists() else []


def _password() -> str:
    """256 random bits; the suffix satisfies services that require every class of characters."""
    return secrets.token_urlsafe(32) + "-aA1"


def _write(file: Path, text: str) -> None:
    """Write atomically, readable by the owner only; without a line end, which would count."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)


def _main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action")
    adding = actions.add_parser("key")
    adding.add_argument("name")
    adding.add_argument("scope", choices=SCOPES)
    actions.add_parser("revoke").add_argument("name")
    actions.add_parser("rotate").add_argument("user", nargs="*")
    actions.add_parser("mqtt").add_argument("login", choices=("service", "bridge"))
    given = parser.parse_args()
    make_missing(FOLDER)
    if given.action == "key":
        print(add_key(FOLDER, given.name, given.scope))
    elif given.action == "revoke":
        revoke_key(FOLDER, given.name)
    elif given.action == "rotate":
        rotate_passwords(FOLDER, given.user)
    elif given.action == "mqtt":
        ask = f"password of {given.login} at the broker: "
        password = (
            getpass.getpass(ask) if sys.stdin.isatty() else sys.stdin.readline().strip("\r\n")
        )
        store_mqtt_password(FOLDER, given.login, password)


if __name__ == "__main__":
    _main()
