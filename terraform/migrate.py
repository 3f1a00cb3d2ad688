"""Invoke the deployed function migrate; Terraform does, and so does `make migrate`.

    migrate.py FUNCTION_ID [--break-lock]

Who invokes: YC_TOKEN (an IAM token, or an OAuth token, which is exchanged for one); without it the
`yc` command's. Exit code 1, with the migration's own message, if a migration fails.
"""
# ruff: noqa: INP001, T201, TID251 - a script; it reads its environment and writes to its screen

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
"""A little more than the function's own."""
PATIENCE_SECONDS = float(os.environ.get("MIGRATE_PATIENCE_SECONDS", "180"))
"""How long roles that were just given may take to be known everywhere."""
_NOT_YET = (403, 404, 429, 503)


class MigrationFailed(RuntimeError):
    """The function was not invoked, or a migration failed."""


def migrate(function_id: str, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the function; what it applied. Raises MigrationFailed."""
    request = urllib.request.Request(  # noqa: S310 - the cloud's, or the operator's own URL
        f"{FUNCTIONS_URL}/{function_id}?integration=raw",
        data=json.dumps(event).encode(),
        headers={"Authorization": f"Bearer {_token()}", "Content-Type": "application/json"},
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - as above
                text, failed = answer.read().decode(), answer.headers.get("X-Function-Error")
        except urllib.error.HTTPError as error:
            text, failed = error.read().decode(errors="replace"), "true"
            if error.code in _NOT_YET and time.monotonic() < deadline:
                time.sleep(5)
                continue
            text = f"{error.code}: {_explained(text)}"
        except OSError as error:
            raise MigrationFailed(f"{FUNCTIONS_URL} did not answer: {error}") from error
        if failed:
            raise MigrationFailed(_explained(text))
        return dict(json.loads(text))


def _token() -> str:
    token = os.environ.get("YC_TOKEN", "")
    if token.startswith("t1."):
        return token
    if token:
        body = json.dumps({"yandexPassportOauthToken": token}).encode()
        request = urllib.request.Request(TOKENS_URL, data=body)  # noqa: S310 - as FUNCTIONS_URL
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                return str(json.load(answer)["iamToken"])
        except urllib.error.HTTPError as error:
            raise MigrationFailed(f"YC_TOKEN is not accepted: {error.code}") from error
    try:
        command = ["yc", "iam", "create-token"]
        made = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - a constant command
    except (OSError, subprocess.CalledProcessError) as error:
        raise MigrationFailed(
            "no token to invoke the function with: set YC_TOKEN, or set up the yc command "
            f"({getattr(error, 'stderr', None) or error})"
        ) from error
    return made.stdout.strip()


def _explained(text: str) -> str:
    """The platform's errors are JSON with an errorMessage; the rest is passed on as it is."""
    try:
        return str(json.loads(text)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return text


def _main() -> None:
    parser = argparse.ArgumentParser(description="Bring the database's schema up to date.")
    parser.add_argument("function_id")
    parser.add_argument("--break-lock", action="store_true", help="after a run that was killed")
    given = parser.parse_args()
    try:
        done = migrate(given.function_id, {"break_lock": True} if given.break_lock else {})
    except MigrationFailed as error:
        sys.exit(f"migrations: {error}")
    applied = ", ".join(done.get("applied", [])) or "nothing new"
    print(f"migrations: {applied}; the schema is at {done.get('version')}")


if __name__ == "__main__":
    _main()
