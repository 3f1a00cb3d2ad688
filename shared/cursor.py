"""Cursors: where the next page of a list begins, opaque to callers."""

import base64
import json
from typing import Any

from pydantic import TypeAdapter

from shared.errors import InvalidRequest


def encode(*key: Any) -> str:
    """A cursor that stands for the sort key of a page's last row."""
    return base64.urlsafe_b64encode(json.dumps(key, default=str).encode()).decode().rstrip("=")


def decode(cursor: str | None, *kinds: Any) -> list[Any]:
    """The sort key, as many values as `kinds` and of these types; all None for the first page.

    Raises InvalidRequest for a cursor that is none of ours.
    """
    if cursor is None:
        return [None] * len(kinds)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, b"-_", validate=True))
        return [TypeAdapter(kind).validate_python(v) for kind, v in zip(kinds, key, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError):
        message = "give back a next_cursor as it was, or none"
        raise InvalidRequest(errors=[{"field": "cursor", "message": message}]) from None
