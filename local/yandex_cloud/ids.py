"""Ids of the platform's shape: a prefix that names the kind, and 17 random characters."""

import secrets

_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_LENGTH = 20


def new(prefix: str) -> str:
    """Return a new id, such as enp0v0q5tmp4vmcgb1rt for the prefix `enp`."""
    rest = (secrets.choice(_ALPHABET) for _ in range(_LENGTH - len(prefix)))
    return prefix + "".join(rest)
