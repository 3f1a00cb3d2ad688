"""The console as the local gateway serves it."""

import re
import shutil
from pathlib import Path

import pytest
from werkzeug.test import Client

from console import build
from local.console_page import ConsolePage
from local.functions import FunctionPool
from local.gateway import Gateway, Routes
from tests.unit.local.gateway.small_gateway import assert_problem, document


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A console of one page and one file, without third-party files."""
    folder = tmp_path / "console"
    shutil.copytree(build.CONSOLE / "app", folder / "app")
    shutil.copy(build.CONSOLE / "index.html", folder)
    (folder / "vendor.sha256").write_text("")
    (tmp_path / "secret.js").write_text("1;")
    return folder


@pytest.fixture
def client(pool: FunctionPool, console: Path) -> Client:
    return Client(
        Gateway(Routes(document()), pool, port=0, pages=[ConsolePage(console=console)]).app
    )


def test_the_page_has_the_policy_as_a_header_and_in_itself(client: Client) -> None:
    response = client.get("/")

    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    policy = response.headers["Content-Security-Policy"]
    inner, outer = policy.rsplit("; ", 1)
    assert outer == "frame-ancestors 'none'"
    assert f'content="{inner}"' in response.text
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"


def test_a_file_is_served_with_its_type_as_it_is_now(client: Client, console: Path) -> None:
    (console / "app" / "app.js").write_text("2;")
    response = client.get("/console/dev/app/app.js")

    assert (response.text, response.mimetype) == ("2;", "text/javascript")
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/console/dev/app/app.js"])
def test_head_has_the_headers_and_no_body(client: Client, path: str) -> None:
    response = client.head(path)

    assert (response.status_code, response.data) == (200, b"")
    assert response.content_type == client.get(path).content_type


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/dev/",
        "/console/dev/app",
        "/console/dev/index.html",
        "/console/dev/package.json",
        "/console/dev/app/nothing.js",
        "/console/dev/../secret.js",
        "/console/dev/app/../../secret.js",
        "/console/dev/app/%2e%2e/%2e%2e/secret.js",
        "/console/dev//etc/passwd",
        "/x/console/dev/app/app.js",
        "/console/dev/app/app.js%00.css",
    ],
)
def test_another_path_is_404(client: Client, path: str) -> None:
    assert_problem(client.get(path), 404, "route_not_found")


def test_a_page_cannot_be_posted_to(client: Client) -> None:
    assert_problem(client.post("/"), 404, "route_not_found")


def test_without_third_party_files_the_page_says_what_to_run(client: Client, console: Path) -> None:
    (console / "vendor.sha256").write_text(f"{'0' * 64}  preact.mjs\n")
    response = client.get("/")

    assert response.status_code == 503
    assert re.search(r"Run <code>make console</code>", response.text)
