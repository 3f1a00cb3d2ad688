"""Uploading the console to its bucket, with a fake Object Storage."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from console import build
from terraform import publish_console

IMMUTABLE = "public, max-age=31536000, immutable"


class _Storage(ThreadingHTTPServer):
    """Refuses as many uploads as `refusals` has statuses, then stores the rest."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refusals: list[int] = []
        self.uploads: dict[str, tuple[bytes, dict[str, str]]] = {}


class _Handler(BaseHTTPRequestHandler):
    server: _Storage

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        refusals = self.server.refusals
        if not refusals:
            self.server.uploads[self.path] = content, dict(self.headers)
        self.send_response(refusals.pop(0) if refusals else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Storage]:
    with _Storage() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setattr(
            publish_console, "STORAGE_URL", f"http://127.0.0.1:{server.server_port}"
        )
        monkeypatch.setenv("YC_TOKEN", "t1.deployer")
        yield server
        server.shutdown()


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A build of version 0123456789ab."""
    (tmp_path / "0123456789ab" / "app").mkdir(parents=True)
    (tmp_path / "0123456789ab" / "app" / "app.js").write_text("1;")
    (tmp_path / "index.html").write_text((build.CONSOLE / "index.html").read_text())
    return tmp_path


def test_each_file_is_uploaded_with_its_type_and_how_long_to_keep_it(
    storage: _Storage, built: Path
) -> None:
    tiles_url = "https://tiles.example/{z}/{x}/{y}.png"

    assert publish_console.publish("bucket", built, tiles_url, 0) == 2

    assert [*storage.uploads] == ["/bucket/0123456789ab/app/app.js", "/bucket/index.html"]
    (file, headers), (page, page_headers) = storage.uploads.values()
    assert file == b"1;"
    assert headers["Authorization"] == "Bearer t1.deployer"
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["Cache-Control"] == IMMUTABLE
    assert page_headers["Content-Type"] == "text/html; charset=utf-8"
    assert page_headers["Cache-Control"] == "no-cache"
    assert b'src="/console/0123456789ab/app/main.js"' in page
    assert b"img-src 'self' data: https://tiles.example;" in page


def test_a_refusal_that_lasts_is_an_error_with_the_object_and_the_status(
    storage: _Storage, built: Path
) -> None:
    storage.refusals = [403]

    with pytest.raises(publish_console.PublishingFailed, match=r"app/app\.js: 403"):
        publish_console.publish("bucket", built, "", 0)

    assert storage.uploads == {}


def test_a_build_without_a_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(publish_console.PublishingFailed, match=r"0 versions .* make package"):
        list(publish_console.objects(tmp_path))
