"""Lockbox: the secrets that hold the password hashes of a deployment's cabinets."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from shared import config
from tools import ToolError

PAYLOAD_BYTES = 64 * 1024
"""Lockbox's limit for the values in one version of a secret."""
_OPERATION_SECONDS = 60
_RESTORABLE = "604800s"  # a week
_SHOWN = 300

Entries = dict[str, str]


class _Environment(BaseModel):
    """The environment variables: the token, and the addresses of Lockbox's APIs."""

    yc_token: str = ""
    lockbox_url: str = "https://lockbox.api.cloud.yandex.net/lockbox/v1"
    payload_url: str = "https://payload.lockbox.api.cloud.yandex.net/lockbox/v1"
    operations_url: str = "https://operation.api.cloud.yandex.net/operations"


class Lockbox:
    """A client of Lockbox's API. Raises ToolError."""

    def __init__(self) -> None:
        self._settings = config.read(_Environment, os.environ)  # noqa: TID251 - a tool's settings
        self._token = ""

    def entries(self, secret_id: str) -> Entries:
        """Return the entries of a secret's current version; empty if it has none."""
        if not self._current_version(secret_id):
            return {}
        payload = self._call("GET", f"{self._settings.payload_url}/secrets/{secret_id}/payload")
        return {entry["key"]: entry["textValue"] for entry in payload.get("entries", [])}

    def change(self, secret_id: str, values: Mapping[str, str]) -> None:
        """Add a version of a secret with these entries changed; "" removes an entry.

        Lockbox copies the other entries from the current version, so concurrent changes of
        different cabinets do not overwrite each other. The previous version can be restored for a
        week.
        """
        secret = f"{self._settings.lockbox_url}/secrets/{secret_id}"
        before = self._current_version(secret_id)
        changed = [{"key": key, "textValue": value} for key, value in values.items()]
        self._finish(self._call("POST", f"{secret}:addVersion", {"payloadEntries": changed}))
        if before:  # versions are limited to a thousand
            body = {"versionId": before, "pendingPeriod": _RESTORABLE}
            self._call("POST", f"{secret}:scheduleVersionDestruction", body)

    def _current_version(self, secret_id: str) -> str:
        secret = self._call("GET", f"{self._settings.lockbox_url}/secrets/{secret_id}")
        return str(secret.get("currentVersion", {}).get("id", ""))

    def _finish(self, operation: dict[str, Any]) -> None:
        deadline = time.monotonic() + _OPERATION_SECONDS
        while not operation.get("done"):
            if time.monotonic() > deadline:
                raise ToolError(
                    f"Lockbox's operation {operation['id']} did not end in {_OPERATION_SECONDS} s"
                )
            time.sleep(0.2)
            operation = self._call("GET", f"{self._settings.operations_url}/{operation['id']}")
        if "error" in operation:
            raise ToolError(f"Lockbox rejected the change: {operation['error'].get('message')}")

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        self._token = self._token or _new_token(self._settings.yc_token)
        request = urllib.request.Request(  # noqa: S310 - https, or what the environment names
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - as above
                result: dict[str, Any] = json.load(response)
                return result
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:_SHOWN]
            hint = "; the token may have expired" if error.code == HTTPStatus.UNAUTHORIZED else ""
            raise ToolError(f"{url}: {error.code}{hint} {detail}") from None
        except OSError as error:
            raise ToolError(f"{url}: {error}") from None


def run(*command: str, instead: str) -> str:
    """Run a program and return its output. Raises ToolError, which says what to do `instead`."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - fixed
    except (OSError, subprocess.CalledProcessError) as error:
        reason = " ".join(str(getattr(error, "stderr", "") or error).split())
        raise ToolError(f"`{' '.join(command)}` failed ({reason}): {instead}") from None
    return done.stdout.strip()


def distribute(
    secrets: Sequence[Entries], values: Mapping[str, str], *, capacity: int = PAYLOAD_BYTES
) -> list[Entries]:
    """Return the change of each secret that stores `values`; "" removes an entry everywhere.

    An entry stays in its secret if it fits. A new one goes to the first secret with room. Raises
    ToolError if they do not fit.
    """
    changes: list[Entries] = [{} for _ in secrets]
    room = [capacity - sum(map(len, entries.values())) for entries in secrets]
    for key, value in values.items():
        holders = [index for index, entries in enumerate(secrets) if key in entries]
        if [secrets[index][key] for index in holders] == [value]:
            continue
        for index in holders:
            room[index] += len(secrets[index][key])
            changes[index][key] = ""
        if value:
            candidates = [*holders, *range(len(secrets))]
            target = next((one for one in candidates if room[one] >= len(value)), None)
            if target is None:
                raise ToolError(_full(len(secrets), values))
            changes[target][key] = value
            room[target] -= len(value)
    return changes


def phases(changes: Sequence[Entries]) -> Iterator[tuple[int, Entries]]:
    """Split changes into steps, each with a secret's index.

    An entry that moves to another secret is stored there before it is removed here.
    """
    stored = {key for change in changes for key, value in change.items() if value}
    moved: list[Entries] = [
        {k: v for k, v in one.items() if not v and k in stored} for one in changes
    ]
    for index, change in enumerate(changes):
        if now := {key: value for key, value in change.items() if key not in moved[index]}:
            yield index, now
    yield from ((index, removed) for index, removed in enumerate(moved) if removed)


def _full(secrets: int, values: Mapping[str, str]) -> str:
    return (
        f"{len(values)} logins do not fit into the deployment's {secrets} secrets of"
        f" {PAYLOAD_BYTES} bytes, and none was stored: raise cabinet_login_secrets in"
        " terraform.tfvars and apply, or use --certificate"
    )


def _new_token(given: str) -> str:
    """Return an IAM token: $YC_TOKEN, or the token of the `yc` command."""
    if given.startswith("t1."):
        return given
    return run("yc", "iam", "create-token", instead="set YC_TOKEN to an IAM token")
