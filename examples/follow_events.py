"""Follow the events of the service, across restarts of the service and of this program.

SCOOTER_ACCUMULATOR_KEY=… python follow_events.py CURSOR_FILE >>events.jsonl
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests

URL = os.environ.get("SCOOTER_ACCUMULATOR_URL", "http://127.0.0.1:8080") + "/v1/events"
HEADERS = {"Authorization": "Bearer " + os.environ["SCOOTER_ACCUMULATOR_KEY"]}
GONE = "{} has expired: events are missing. Delete it, start again, then read the present state."


def apply(event: Any) -> None:
    """Process an event. It must be stored when this returns, and it may come again."""
    print(json.dumps(event, ensure_ascii=False), flush=True)


def read(cursor: str | None) -> requests.Response:
    """Ask for the events after the cursor, until the service answers."""
    pause = 1
    while True:
        try:
            query = {"after": cursor, "limit": "1000"}
            response = requests.get(URL, query, headers=HEADERS, timeout=60)
            if response.status_code < 500 and response.status_code != 429:
                return response
            failure = f"{response.status_code}: {response.text}"
        except requests.RequestException as error:
            failure = str(error)
        print(f"{failure}; trying again in {pause} s", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, 30)


def save(file: Path, cursor: str) -> None:
    """Replace the cursor in one step: after a crash the file has the old one or the new one."""
    new = file.with_suffix(".new")
    with new.open("w") as stream:
        stream.write(cursor)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)


def main(file: Path) -> None:
    """Follow for ever. Without a cursor, begin with what happens from now on."""
    cursor = file.read_text() if file.exists() else None
    while True:
        response = read(cursor)
        if response.status_code != 200:
            sys.exit(GONE.format(file) if response.status_code == 410 else response.text)
        page = response.json()
        for event in page["events"]:
            apply(event)
        if page["cursor"] == cursor:
            time.sleep(1)
        else:
            cursor = page["cursor"]
            save(file, cursor)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
