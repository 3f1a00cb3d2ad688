"""Upload dist/console to the console's bucket. Terraform runs this during apply.

    python3 -m terraform.publish_console BUCKET [--tiles-url URL] [--built DIRECTORY]

The provider's resource for objects cannot set Cache-Control, so this program uploads them. It uses
the IAM or OAuth token in YC_TOKEN, or else the token of the `yc` command. index.html comes last:
until then, browsers get the earlier version, whose files stay in the bucket for open pages.
"""
# ruff: noqa: INP001, T201, TID251 - a script: reads its environment and prints

import argparse
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from console import build
from terraform.migrate import NoToken, token

STORAGE_URL = os.environ.get("YC_STORAGE_URL", "https://storage.yandexcloud.net")
PATIENCE_SECONDS = 60.0
_RETRIED = (403, 404, 429, 500, 503)
_TIMEOUT_SECONDS = 60
_CACHED = "public, max-age=31536000, immutable"
_REVALIDATED = "no-cache"


class PublishingFailed(RuntimeError):
    """An object was not uploaded, or dist/console is not there."""


class StoredObject(NamedTuple):
    """An object of the bucket."""

    key: str
    content: bytes
    content_type: str
    cache_control: str


def objects(built: Path, tiles_url: str = "") -> Iterator[StoredObject]:
    """Return the objects of a build, in the order in which they are uploaded.

    Raises PublishingFailed if there is not exactly one version, InvalidTilesUrl.
    """
    versions = [one for one in built.glob("*") if one.is_dir()]
    if len(versions) != 1:
        raise PublishingFailed(f"{built} has {len(versions)} versions instead of 1: make package")
    version = versions[0]
    for name, file in build.assets(version).items():
        key = f"{version.name}/{name}"
        yield StoredObject(key, file.read_bytes(), build.content_type(name), _CACHED)
    page = build.page(built, version.name, tiles_url).encode()
    yield StoredObject(build.PAGE, page, build.content_type(build.PAGE), _REVALIDATED)


def publish(bucket: str, built: Path, tiles_url: str, patience_seconds: float) -> int:
    """Upload a build; return the number of objects. Raises PublishingFailed, NoToken."""
    to_upload = list(objects(built, tiles_url))
    iam_token = token()
    deadline = time.monotonic() + patience_seconds
    for one in to_upload:
        _upload(bucket, one, iam_token, deadline)
    return len(to_upload)


def _upload(bucket: str, stored: StoredObject, iam_token: str, deadline: float) -> None:
    """Upload an object; try again until the deadline: new roles take effect with a delay."""
    url = f"{STORAGE_URL}/{bucket}/{stored.key}"
    headers = {
        "Authorization": f"Bearer {iam_token}",
        "Content-Type": stored.content_type,
        "Cache-Control": stored.cache_control,
    }
    request = urllib.request.Request(url, stored.content, headers, method="PUT")  # noqa: S310 - of the cloud
    while True:
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310 - as above
                return
        except urllib.error.HTTPError as error:
            if error.code not in _RETRIED or time.monotonic() > deadline:
                reason = error.read().decode(errors="replace")
                raise PublishingFailed(f"{url}: {error.code}: {reason}") from error
        except OSError as error:
            if time.monotonic() > deadline:
                raise PublishingFailed(f"{url} did not respond: {error}") from error
        time.sleep(2)


def _main() -> None:
    parser = argparse.ArgumentParser(description="Upload the console to its bucket.")
    parser.add_argument("bucket", help="the bucket's name")
    parser.add_argument("--built", type=Path, default=build.TARGET, help="default: %(default)s")
    parser.add_argument("--tiles-url", default="", help="URL of the map's tiles; empty: no tiles")
    text = "how long to repeat a failing upload (default: %(default)s)"
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS", help=text
    )
    given = parser.parse_args()
    try:
        count = publish(given.bucket, given.built, given.tiles_url, given.patience)
    except (PublishingFailed, NoToken, build.InvalidTilesUrl) as error:
        sys.exit(f"console: {error}")
    print(f"console: {count} objects uploaded to {given.bucket}")


if __name__ == "__main__":
    _main()
