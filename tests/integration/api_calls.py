"""Calls of the API that tests of several subjects make."""

from typing import Any
from urllib.parse import quote

from tests.support.service import Response, Service


def refusal(service: Service, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Return the status and code with which an operator's request is refused."""
    response = service.call(method, path, body, key="operator")
    return response.status, response.body["code"]


def all_pages(service: Service, path: str, name: str, **query: Any) -> list[Any]:
    """Follow the cursors of a list; return the items of all pages."""
    parameters = "&".join(f"{key}={value}" for key, value in query.items())
    page = service.get(f"{path}?{parameters}")
    items: list[Any] = page[name]
    while page["next_cursor"] is not None:
        page = service.get(f"{path}?{parameters}&cursor={quote(page['next_cursor'])}")
        items += page[name]
    return items


def unlock_without_booking(service: Service, *, key: str = "operator", **more: Any) -> Response:
    """Send an unlock of cell 1 of C-1, unless `more` overrides these."""
    body = {"kind": "unlock", "cells": [1], "reason": "support"} | more
    return service.call("POST", "/v1/cabinets/C-1/commands", body, key=key)
