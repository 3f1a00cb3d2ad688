"""The deployment's secrets, as files in terraform/.secrets that git and Terraform's state lack.

    secret_files.py                    make what is missing; what is there stays
    secret_files.py key NAME SCOPE     add an API key (read, backend or operator) and print it, once
    secret_files.py revoke NAME        remove an API key
    secret_files.py rotate             make a new database password

The next apply brings what has changed to Lockbox, the database and the functions.
"""
# ruff: noqa: INP001, T201 - a script; its screen is its interface

import argparse
import hashlib
import re
import secrets
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / ".secrets"
SCOPES = ("read", "backend", "operator")


def make_missing(folder: Path) -> None:
    """Passwords, and a first API key that may do everything."""
    _write(folder / ".gitignore", "*")
    for name in ("database_password", "iot_core_password"):
        if not (folder / name).exists():
            _write(folder / name, _password())
    if not (folder / "api_keys").exists():
        _write(folder / "operator_key", add_key(folder, "operator", "operator"))
        print(f"made {folder}: keep a copy where only those who deploy can read it")


def add_key(folder: Path, name: str, scope: str) -> str:
    """A new API key; only its SHA-256 is kept in `api_keys`."""
    if not re.fullmatch(r"[a-z0-9-]{1,32}", name):
        raise SystemExit(f"{name}: 1 to 32 lower-case letters, digits and hyphens")
    entries = _entries(folder)
    if any(entry.startswith(f"{name}:") for entry in entries):
        raise SystemExit(f"there is an API key {name}; revoke it first")
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    _write(folder / "api_keys", ",".join([*entries, f"{name}:{scope}:{digest}"]))
    return key


def revoke_key(folder: Path, name: str) -> None:
    """Forget an API key."""
    entries = _entries(folder)
    kept = [entry for entry in entries if not entry.startswith(f"{name}:")]
    if len(kept) == len(entries):
        raise SystemExit(f"there is no API key {name}")
    if not kept:
        raise SystemExit(f"{name} is the last API key; add another first")
    _write(folder / "api_keys", ",".join(kept))


def _entries(folder: Path) -> list[str]:
    file = folder / "api_keys"
    return file.read_text().split(",") if file.exists() else []


def _password() -> str:
    """256 random bits; the suffix is for services that ask for each group of characters."""
    return secrets.token_urlsafe(32) + "-aA1"


def _write(file: Path, text: str) -> None:
    """Whole or not at all, for the owner's eyes; no line end, because it would count."""
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
    actions.add_parser("rotate")
    given = parser.parse_args()
    make_missing(FOLDER)
    if given.action == "key":
        print(add_key(FOLDER, given.name, given.scope))
    elif given.action == "revoke":
        revoke_key(FOLDER, given.name)
    elif given.action == "rotate":
        _write(FOLDER / "database_password", _password())


if __name__ == "__main__":
    _main()
