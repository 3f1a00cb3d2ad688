"""Check a deployed service from outside without changing anything: `smoke_test.py https://…`.

The API key comes from API_KEY, or else from terraform/.secrets/operator_key.
"""
# ruff: noqa: INP001, T201, TID251 - a script: reads its environment and prints

import argparse
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

KEY_FILE = Path(__file__).resolve().parent / ".secrets" / "operator_key"
PATIENCE_SECONDS = 300.0
"""The VM of a new broker takes minutes to install."""

Response = tuple[int, Any]


class Page(NamedTuple):
    """A file of the console, with the headers that browsers need."""

    content_type: str
    cache_control: str
    text: str


def checks(url: str, key: str) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Names and functions of the checks, in order."""
    yield "the API is served", lambda: _is_healthy(_get(url, "/v1/health"))
    ready = "/v1/health/ready"
    yield "database and broker are reachable", lambda: _is_healthy(_get(url, ready, key))
    yield "no key: 401", lambda: _get(url, "/v1/cabinets")[0] == HTTPStatus.UNAUTHORIZED
    yield "a wrong key: 403", lambda: _get(url, "/v1/cabinets", "wrong")[0] == HTTPStatus.FORBIDDEN
    yield "an unknown path: 404", lambda: _get(url, "/v1/nowhere", key)[0] == HTTPStatus.NOT_FOUND
    yield "a wrong method: 405", lambda: _has_no_method(url, key)
    yield "HEAD is served like GET", lambda: _get(url, "/v1/cabinets", key, "HEAD") == (200, None)
    yield "the key can read cabinets", lambda: "cabinets" in _body(_get(url, "/v1/cabinets", key))
    yield "the console's page is served, with its policy", lambda: _is_page(_fetch(url, "/"))
    yield "the console's files are served, to be kept", lambda: _has_files(url)
    yield "the audit passes", lambda: bool(_body(_get(url, "/v1/stats", key))["audit"]["ok"])


def _is_healthy(response: Response) -> bool:
    return response[0] == HTTPStatus.OK and response[1]["status"] == "ok"


def _has_no_method(url: str, key: str) -> bool:
    return _get(url, "/v1/cabinets", key, "PUT")[0] == HTTPStatus.METHOD_NOT_ALLOWED


def _is_page(page: Page) -> bool:
    return (page.content_type, page.cache_control) == ("text/html", "no-cache") and (
        """http-equiv="Content-Security-Policy" content="default-src 'self'; """ in page.text
    )


def _has_files(url: str) -> bool:
    """Check the page's entry point; only the local cloud's version, dev, is not kept."""
    found = re.search(r'src="(/console/(\w+)/app/main\.js)"', _fetch(url, "/").text)
    if found is None:
        return False
    file = _fetch(url, found[1])
    kept = "no-cache" if found[2] == "dev" else "public, max-age=31536000, immutable"
    return (file.content_type, file.cache_control) == ("text/javascript", kept)


def _fetch(url: str, path: str) -> Page:
    with urllib.request.urlopen(  # noqa: S310 - the given URL
        url.rstrip("/") + path, timeout=30, context=ssl.create_default_context()
    ) as response:
        headers = response.headers
        return Page(headers.get_content_type(), headers["Cache-Control"], response.read().decode())


def _body(response: Response) -> dict[str, Any]:
    status, body = response
    if status != HTTPStatus.OK:
        raise ValueError(f"{status}: {body}")
    return dict(body)


def _get(url: str, path: str, key: str = "", method: str = "GET") -> Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = url.rstrip("/") + path
    request = urllib.request.Request(  # noqa: S310 - the given URL
        address, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(  # noqa: S310 - the given URL
            request, timeout=30, context=ssl.create_default_context()
        ) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, text


def _fault_of(check: Callable[[], bool], deadline: float) -> str:
    """Repeat the check until it passes or the deadline is over; return its fault, empty if none."""
    while True:
        try:
            fault = "" if check() else "unexpected response"
        except (OSError, ValueError, KeyError, TypeError) as error:
            fault = f"{type(error).__name__}: {error}"
        if not fault or time.monotonic() > deadline:
            return fault
        time.sleep(5)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Check a deployed service from outside.")
    parser.add_argument("url", help="Terraform's output api_url")
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE_SECONDS,
        metavar="SECONDS",
        help="how long to repeat a failing check (default: %(default)s)",
    )
    given = parser.parse_args()
    key = os.environ.get("API_KEY") or (KEY_FILE.read_text() if KEY_FILE.exists() else "")
    if not key:
        sys.exit(f"no API key: set API_KEY, or restore {KEY_FILE}")
    deadline = time.monotonic() + given.patience
    faults = 0
    for name, check in checks(given.url, key):
        fault = _fault_of(check, deadline)
        faults += bool(fault)
        print(f"{'FAIL' if fault else 'ok  '}  {name}{': ' + fault if fault else ''}", flush=True)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    _main()
