"""Check a deployed service from outside, changing nothing: `smoke_test.py https://…`.

The key comes from API_KEY, else from terraform/.secrets/operator_key.
"""
# ruff: noqa: INP001, T201, TID251 - a script; it reads its environment and writes to its screen

import argparse
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

KEY_FILE = Path(__file__).resolve().parent / ".secrets" / "operator_key"
PATIENCE_SECONDS = 300.0
"""A new broker's VM takes minutes to install itself."""

Answer = tuple[int, Any]


def checks(url: str, key: str) -> Iterator[tuple[str, Callable[[], bool]]]:
    """What is checked, in order, each with how."""
    yield "the database and the broker can be reached", lambda: _is_healthy(_get(url, "/v1/health"))
    yield "no key: 401", lambda: _get(url, "/v1/cabinets")[0] == HTTPStatus.UNAUTHORIZED
    yield "a wrong key: 403", lambda: _get(url, "/v1/cabinets", "wrong")[0] == HTTPStatus.FORBIDDEN
    yield "an unknown path: 404", lambda: _get(url, "/v1/nowhere", key)[0] == HTTPStatus.NOT_FOUND
    yield "the key reads cabinets", lambda: "cabinets" in _body(_get(url, "/v1/cabinets", key))
    yield "the invariants hold", lambda: bool(_body(_get(url, "/v1/stats", key))["audit"]["ok"])


def _is_healthy(answer: Answer) -> bool:
    return answer[0] == HTTPStatus.OK and answer[1]["status"] == "ok"


def _body(answer: Answer) -> dict[str, Any]:
    status, body = answer
    if status != HTTPStatus.OK:
        raise ValueError(f"{status}: {body}")
    return dict(body)


def _get(url: str, path: str, key: str = "") -> Answer:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = url.rstrip("/") + path
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - the same URL
    try:
        with urllib.request.urlopen(  # noqa: S310 - the operator's own URL
            request, timeout=30, context=ssl.create_default_context()
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, text


def _passes(check: Callable[[], bool], deadline: float) -> str:
    """Empty when the check has passed before the deadline, else what was wrong."""
    while True:
        try:
            fault = "" if check() else "not so"
        except (OSError, ValueError, KeyError, TypeError) as error:
            fault = f"{type(error).__name__}: {error}"
        if not fault or time.monotonic() > deadline:
            return fault
        time.sleep(5)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Check a deployed service from outside.")
    parser.add_argument("url")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS")
    given = parser.parse_args()
    key = os.environ.get("API_KEY") or (KEY_FILE.read_text() if KEY_FILE.exists() else "")
    if not key:
        sys.exit(f"no API key: set API_KEY, or restore {KEY_FILE}")
    deadline = time.monotonic() + given.patience
    faults = 0
    for name, check in checks(given.url, key):
        fault = _passes(check, deadline)
        faults += bool(fault)
        print(f"{'FAIL' if fault else 'ok  '}  {name}{': ' + fault if fault else ''}", flush=True)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    _main()
