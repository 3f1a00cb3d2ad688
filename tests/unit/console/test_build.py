"""The console's page, its policy, its version, and the folder for a deployment."""

import base64
import hashlib
import json
import re
from html import unescape
from pathlib import Path

import pytest

from console import build

TILES = "https://tiles.example:8443/{z}/{x}/{y}.png?key=1&style=a"
PAGE = """<meta content="${content_security_policy}"><meta name="tiles-url" content="${tiles_url}">
<script type="importmap">{"imports": {"htm": "/console/${version}/vendor/htm.mjs"}}</script>
"""


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A small console whose third-party files are there."""
    for folder in ("app", "vendor"):
        (tmp_path / folder).mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "app" / "app.js").write_text("1;\n")
    content = "export default 1;\n"
    (tmp_path / "vendor" / "htm.mjs").write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    (tmp_path / "package.json").write_text('{"dependencies": {"htm": "3.1.1"}}')
    (tmp_path / "vendor.sha256").write_text(f"{digest}  htm.mjs\n")
    return tmp_path


def test_the_policy_allows_this_origin_and_the_import_map_only() -> None:
    page = build.page(build.CONSOLE, "abc")
    found = re.search(r"<script type=.importmap.>(.*?)</script>", page, re.DOTALL)
    assert found is not None
    digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()

    assert build.content_security_policy(page) == (
        f"default-src 'self'; script-src 'self' 'sha256-{digest}'; img-src 'self' data:;"
        " object-src 'none'; base-uri 'none'; form-action 'none'"
    )
    assert f"'sha256-{digest}'" in page
    assert "$" not in page


def test_every_address_of_the_page_has_the_version() -> None:
    page = build.page(build.CONSOLE, "abc")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    addresses += json.loads(page.split('importmap">')[1].split("</script>")[0])["imports"].values()

    assert len(addresses) >= 8
    assert all(address.startswith("/console/abc/") for address in addresses)


def test_the_addresses_of_vendor_are_wanted_files() -> None:
    lines = (build.CONSOLE / "vendor.sha256").read_text().splitlines()
    wanted = {line.split()[1] for line in lines}
    addresses = re.findall(r'/vendor/([^"]+)"', (build.CONSOLE / "index.html").read_text())

    assert addresses
    assert set(addresses) <= wanted


def test_tiles_add_their_origin_to_the_policy(console: Path) -> None:
    page = build.page(console, "abc", TILES)

    assert "img-src 'self' data: https://tiles.example:8443;" in page
    found = re.search(r'name="tiles-url" content="([^"]*)"', page)
    assert found is not None
    assert unescape(found[1]) == TILES


@pytest.mark.parametrize(
    "url",
    [
        "http://tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example/{z}/{x}.png",
        "https://{s}.tiles.example/{z}/{x}/{y}.png",
        "https://tiles.example; script-src *//{z}/{x}/{y}",
        "https://tiles.example/{z}/{x}/{y}.png' 'unsafe-inline",
        "https://user@tiles.example/{z}/{x}/{y}.png",
        "https:///{z}/{x}/{y}",
    ],
)
def test_a_url_that_is_not_of_tiles_is_refused_with_its_value(url: str) -> None:
    with pytest.raises(build.InvalidTilesUrl, match=re.escape(repr(url))):
        build.tiles_origin(url)


@pytest.mark.parametrize("name", ["app/app.js", "vendor/htm.mjs", "index.html"])
def test_the_version_changes_with_every_file(console: Path, name: str) -> None:
    before = build.version(console)
    file = console / name
    file.write_text(file.read_text() + "\n")

    assert re.fullmatch(r"[0-9a-f]{12}", before)
    assert build.version(console) != before


def test_a_build_has_the_same_files_each_time_and_none_of_the_last(
    console: Path, tmp_path: Path
) -> None:
    target = tmp_path / "dist"
    first = build.build(target, console)
    (console / "app" / "app.js").write_text("2;\n")
    second = build.build(target, console)

    assert first != second
    files = {file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file()}
    assert files == {
        *("index.html", "sbom.cdx.json"),
        *(f"{second}/app/app.js", f"{second}/vendor/htm.mjs"),
    }
