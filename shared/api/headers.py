"""Reading a request's header from the gateway's event."""

from collections.abc import Mapping
from typing import Any


def header(event: Mapping[str, Any], name: str) -> str:
    """Return the values of all headers of this name as one list; empty without one."""
    wanted = name.lower()
    for given, values in (event.get("multiValueHeaders") or {}).items():
        if given.lower() == wanted:
            return ", ".join(values)
    headers = {given.lower(): value for given, value in (event.get("headers") or {}).items()}
    return str(headers.get(wanted, ""))
