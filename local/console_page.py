"""GET /: the operators' console, from its source files, so that a reload shows a change."""

from collections.abc import Sequence
from pathlib import Path

from werkzeug.wrappers import Response

from console import build, fetch

VERSION = "dev"
"""Of the local cloud's addresses, /console/dev/…; a deployment has a hash of the files instead."""
_HEADERS = {
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_NOT_FETCHED = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>scooter-accumulator</title>
<h1>The console's third-party files are missing</h1>
<p>Run <code>make console</code>, then reload this page.
The <a href="/docs">API's documentation</a> works without them.</p>
</html>
"""


class ConsolePage:
    """Serves index.html at /, and the files of `app` and `vendor` under /console/dev/."""

    def __init__(
        self,
        *,
        tiles_url: str = "",
        local_keys: Sequence[str] = (),
        console: Path = build.CONSOLE,
    ) -> None:
        """`tiles_url`: as of CONSOLE_TILES_URL; empty: none. `local_keys`: offered to everybody.

        Raises InvalidTilesUrl.
        """
        if tiles_url:
            build.tiles_origin(tiles_url)
        self._tiles_url = tiles_url
        self._local_keys = local_keys
        self._console = console

    def answer(self, path: str) -> Response | None:
        """Return the response to a GET of `path`; None if there is no such file."""
        if path == "/":
            return self._page()
        folder, _, name = path.partition(f"/console/{VERSION}/")
        file = build.assets(self._console).get(name) if name and not folder else None
        if file is None:
            return None
        return Response(file.read_bytes(), headers=_HEADERS, content_type=build.content_type(name))

    def _page(self) -> Response:
        content_type = build.content_type(build.PAGE)
        if not fetch.is_complete(self._console):
            return Response(_NOT_FETCHED, 503, headers=_HEADERS, content_type=content_type)
        page = build.page(self._console, VERSION, self._tiles_url, self._local_keys)
        policy = build.content_security_policy(page, self._tiles_url)
        headers = {**_HEADERS, "Content-Security-Policy": f"{policy}; frame-ancestors 'none'"}
        return Response(page, headers=headers, content_type=content_type)
