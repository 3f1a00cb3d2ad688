"""Conditional requests (RFC 9110): a client that has the response already gets 304 instead."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from shared.api.headers import header

NOT_MODIFIED = 304
_OPAQUE_TAG = re.compile(r'"([^"]*)"')


def etag_of(model: BaseModel) -> str:
    """Return the tag of a response: weak, because its field `at` does not count."""
    content = model.model_dump_json(by_alias=True, exclude={"at"})
    return f'W/"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def is_known(event: Mapping[str, Any], etag: str) -> bool:
    """Whether the request's If-None-Match says that the client has this response."""
    known = header(event, "If-None-Match")
    return known.strip() == "*" or not {*_OPAQUE_TAG.findall(etag)}.isdisjoint(
        _OPAQUE_TAG.findall(known)
    )
