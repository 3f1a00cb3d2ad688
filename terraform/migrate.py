"""Invoke the deployed function migrate: for Terraform, `make migrate` and `make archive`.

    migrate.py FUNCTION_ID [--break-lock | --archive MONTH | --restore MONTH]

It uses the IAM or OAuth token in YC_TOKEN, or else the token of the `yc` command. If a migration
fails, it prints the migration's message and exits with code 1.
"""
# ruff: noqa: INP001, T201, TID251 - a script: reads its environment and prints

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

FUNCTIONS_URL = os.environ.get("YC_FUNCTIONS_URL", "https://functions.yandexcloud.net")
TOKENS_URL = os.environ.get("YC_TOKENS_URL", "https://iam.api.cloud.yandex.net/iam/v1/tokens")
TIMEOUT_SECONDS = 620
"""A little more than the function's timeout."""
PATIENCE_SECONDS = float(os.environ.get("MIGRATE_PATIENCE_SECONDS", "180"))
"""How long to retry, because newly granted roles take effect with a delay."""
_RETRIED = (403, 404, 429, 503)


class MigrationFailed(RuntimeError):
    """The function was not invoked, or a migration failed."""


class NoToken(RuntimeError):
    """There is no valid token for the cloud's APIs; the message says what to do."""


def migrate(function_id: str, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the function; return its response. Raises MigrationFailed, NoToken."""
    request = urllib.request.Request(  # noqa: S310 - the URL of the cloud or from the environment
        f"{FUNCTIONS_URL}/{function_id}?integration=raw",
        data=json.dumps(event).encode(),
        headers={"Authorization": f"Bearer {token()}", "Content-Type": "application/json"},
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
                text, failed = response.read().decode(), response.headers.get("X-Function-Error")
        except urllib.error.HTTPError as error:
            text, failed = error.read().decode(errors="replace"), "true"
            if error.code in _RETRIED and time.monotonic() < deadline:
                time.sleep(5)
                continue
            text = f"{error.code}: {_message(text)}"
        except OSError as error:
            raise MigrationFailed(f"{FUNCTIONS_URL} did not respond: {error}") from error
        if failed:
            raise MigrationFailed(_message(text))
        return dict(json.loads(text))


def token() -> str:
    """Return an IAM token: of YC_TOKEN, or of the `yc` command. Raises NoToken."""
    given = os.environ.get("YC_TOKEN", "")
    if given.startswith("t1."):
        return given
    if given:
        body = json.dumps({"yandexPassportOauthToken": given}).encode()
        request = urllib.request.Request(TOKENS_URL, data=body)  # noqa: S310 - as FUNCTIONS_URL
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - as above
                return str(json.load(response)["iamToken"])
        except urllib.error.HTTPError as error:
            raise NoToken(
                f"YC_TOKEN was rejected with HTTP status {error.code}; get a new token"
            ) from error
    try:
        command = ["yc", "iam", "create-token"]
        made = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a constant command
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoToken(
            "no token for the cloud: set YC_TOKEN, or configure the yc command "
            f"({getattr(error, 'stderr', None) or error})"
        ) from error
    return made.stdout.strip()


def _message(text: str) -> str:
    """The errorMessage of the platform's JSON errors; any other text unchanged."""
    try:
        return str(json.loads(text)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return text


def _main() -> None:
    parser = argparse.ArgumentParser(
        description="Apply missing migrations to the deployed database."
    )
    parser.add_argument("function_id", help="id of the deployed function migrate")
    parser.add_argument(
        "--break-lock", action="store_true", help="first remove the lock that a killed run left"
    )
    parser.add_argument(
        "--archive", metavar="MONTH", help="archive the ledger's months before this one: 2025-11"
    )
    parser.add_argument("--restore", metavar="MONTH", help="load an archived month into a table")
    given = parser.parse_args()
    event: dict[str, Any] = {"break_lock": True} if given.break_lock else {}
    event |= {name: getattr(given, name) for name in ("archive", "restore") if getattr(given, name)}
    try:
        done = migrate(given.function_id, event)
    except (MigrationFailed, NoToken) as error:
        sys.exit(f"migrations: {error}")
    if given.archive or given.restore:
        print(json.dumps(done))
        return
    applied = ", ".join(done.get("applied", [])) or "nothing new"
    print(f"migrations: {applied}; schema version: {done.get('version')}")


if __name__ == "__main__":
    _main()
