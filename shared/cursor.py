"""Cursors: opaque positions where the next page of a list begins."""

import base64
import json
from typing import Any

from pydantic import TypeAdapter

from shared.errors import InvalidRequest


def encode(*key: Any) -> str:
    """Encode the sort key of a page's last row."""
    return base64.urlsafe_b64encode(json.dumps(key, default=str).encode()).decode().rstrip("=")


def decode(cursor: str | None, *kinds: Any, field: str = "cursor") -> list[Any]:
    """Decode a sort key with values of the types `kinds`; all None for the first page.

    Raises InvalidRequest, which names `field`, for anything that is not a cursor.
    """
    if cursor is None:
        return [None] * len(kinds)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, b"-_", validate=True))
        return [TypeAdapter(kind).validate_python(v) for kind, v in zip(kinds, key, strict=True)]
    except (ValueError, TypeError, OverflowError, RecursionError):
        source = "next_cursor of the same list" if field == "cursor" else "cursor of this feed"
        message = f"must be an unchanged {source}"
        raise InvalidRequest(errors=[{"field": field, "message": message}]) from None
