"""The files of the console as they are served, and dist/console with the files for a deployment.

    python -m console.build [TARGET]

Served are index.html at /, and app/ and vendor/ under /console/{version}/. The version is a hash
of all these files, so a file under it never changes and browsers may keep it.
"""

import base64
import hashlib
import html
import json
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from string import Template

from console import fetch

CONSOLE = fetch.CONSOLE
TARGET = CONSOLE.parent / "dist" / "console"
PAGE = "index.html"
FOLDERS = ("app", "vendor")
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_OTHER_TYPE = "text/plain; charset=utf-8"  # licences
_IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>', re.DOTALL)
_TILES_URL = re.compile(r"(https://[a-z0-9.-]+(?::[0-9]+)?)/[A-Za-z0-9._~/{}?=&%@:+-]*")


class InvalidTilesUrl(ValueError):
    """The URL of the map's tiles cannot be used; the message says why."""


def assets(console: Path = CONSOLE) -> dict[str, Path]:
    """Return the files that are served below the version, by path: app/app.js."""
    files = (file for folder in FOLDERS for file in (console / folder).rglob("*"))
    found = {file.relative_to(console).as_posix(): file for file in files if file.is_file()}
    return dict(sorted(found.items()))


def content_type(name: str) -> str:
    """Return the Content-Type of a served file."""
    return CONTENT_TYPES.get(Path(name).suffix, _OTHER_TYPE)


def version(console: Path = CONSOLE) -> str:
    """Return a hash of the names and contents of all served files."""
    digest = hashlib.sha256()
    for name, file in {PAGE: console / PAGE, **assets(console)}.items():
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def page(console: Path, version: str, tiles_url: str = "", local_keys: Iterable[str] = ()) -> str:
    """Return index.html for a version. `tiles_url`: with {z}, {x} and {y}; empty: no tiles.

    `local_keys`: API keys that the page offers to everybody; only of a local cloud.

    Raises InvalidTilesUrl.
    """
    values = {
        "version": version,
        "tiles_url": html.escape(tiles_url),
        "local_keys": html.escape(" ".join(local_keys)),
    }
    filled = Template((console / PAGE).read_text()).safe_substitute(values)
    policy = content_security_policy(filled, tiles_url)
    return Template(filled).substitute(content_security_policy=policy)


def content_security_policy(page: str, tiles_url: str = "") -> str:
    """Return the policy of a page: this origin only, its import map, and images of the tiles.

    Raises InvalidTilesUrl.
    """
    import_map = _IMPORT_MAP.search(page)
    if import_map is None:
        raise ValueError(f"{PAGE} has no import map")
    digest = base64.b64encode(hashlib.sha256(import_map[1].encode()).digest()).decode()
    images = " ".join(["'self'", "data:", *([tiles_origin(tiles_url)] if tiles_url else [])])
    return (
        f"default-src 'self'; script-src 'self' 'sha256-{digest}'; img-src {images};"
        " object-src 'none'; base-uri 'none'; form-action 'none'"
    )


def tiles_origin(tiles_url: str) -> str:
    """Return the origin of the tiles: https://tiles.example. Raises InvalidTilesUrl."""
    found = _TILES_URL.fullmatch(tiles_url)
    if found is None or not all(part in tiles_url for part in ("{z}", "{x}", "{y}")):
        raise InvalidTilesUrl(
            f"{tiles_url!r} is not a URL of map tiles, such as https://tiles.example/{{z}}/{{x}}/{{y}}.png:"
            " https, one host, and {z}, {x} and {y}"
        )
    return found[1]


def build(target: Path = TARGET, console: Path = CONSOLE) -> str:
    """Write the files for a deployment into `target`; return the version.

    index.html is still a template there, because only Terraform knows the tiles' URL.
    """
    fetch.fetch(console)
    shutil.rmtree(target, ignore_errors=True)
    made = version(console)
    for name, file in assets(console).items():
        (target / made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / made / name)
    shutil.copyfile(console / PAGE, target / PAGE)
    (target / "sbom.cdx.json").write_bytes(bill(console))
    return made


def bill(console: Path = CONSOLE) -> bytes:
    """Return the software bill of materials: the npm packages and their files that are served."""
    # Terraform runs publish_console.py, which imports this module, without any packages.
    from terraform import sbom  # noqa: PLC0415

    versions = json.loads((console / "package.json").read_text())["dependencies"]
    return sbom.of_npm("console", versions, fetch.wanted(console), root=CONSOLE.parent)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    try:
        print(f"console: version {build(target)} in {target}")
    except fetch.FetchFailed as error:
        sys.exit(f"console: {error}")
