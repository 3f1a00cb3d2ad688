"""Let a service account write to a log group. Terraform runs this script during apply.

    python3 -m terraform.log_writer LOG_GROUP_ID SERVICE_ACCOUNT_ID

The provider has no resource for roles on a log group. The script uses the IAM or OAuth token in
YC_TOKEN, or else the token of the `yc` command. To grant the role again changes nothing.
"""
# ruff: noqa: INP001, T201, TID251 - a script: reads its environment and prints

import json
import os
import sys
import time
import urllib.error
import urllib.request

from terraform.migrate import NoToken, token

LOGGING_URL = os.environ.get("YC_LOGGING_URL", "https://logging.api.cloud.yandex.net/logging/v1")
PATIENCE_SECONDS = float(os.environ.get("LOG_WRITER_PATIENCE_SECONDS", "60"))
PAUSE_SECONDS = 2.0
ROLE = "logging.writer"
_RETRIED = (403, 404, 409, 429, 500, 503)


class GrantFailed(RuntimeError):
    """The role was not granted."""


def grant(log_group_id: str, service_account_id: str) -> None:
    """Give the account the role on this log group. Raises GrantFailed, NoToken."""
    subject = {"id": service_account_id, "type": "serviceAccount"}
    delta = {"action": "ADD", "accessBinding": {"roleId": ROLE, "subject": subject}}
    request = urllib.request.Request(  # noqa: S310 - the URL of the cloud or from the environment
        f"{LOGGING_URL}/logGroups/{log_group_id}:updateAccessBindings",
        data=json.dumps({"accessBindingDeltas": [delta]}).encode(),
        headers={"Authorization": f"Bearer {token()}", "Content-Type": "application/json"},
        method="PATCH",
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - as above
                error = json.load(response).get("error")
        except urllib.error.HTTPError as failure:
            error = f"{failure.code}: {failure.read().decode(errors='replace')}"
            if failure.code in _RETRIED and time.monotonic() < deadline:
                time.sleep(PAUSE_SECONDS)
                continue
        except OSError as failure:
            raise GrantFailed(f"{LOGGING_URL} did not respond: {failure}") from failure
        if error:
            raise GrantFailed(f"{ROLE} on log group {log_group_id}: {error}")
        return


def _main() -> None:
    if len(sys.argv) != 3:  # noqa: PLR2004 - two arguments
        sys.exit("usage: python3 -m terraform.log_writer LOG_GROUP_ID SERVICE_ACCOUNT_ID")
    try:
        grant(*sys.argv[1:])
    except (GrantFailed, NoToken) as error:
        sys.exit(f"log_writer: {error}")
    print(f"log_writer: {sys.argv[2]} may write to log group {sys.argv[1]}")


if __name__ == "__main__":
    _main()
