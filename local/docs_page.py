"""GET /docs: interactive API documentation (Swagger UI), served from a package, so also offline."""

import json
from typing import Any

from swagger_ui_bundle import swagger_ui_path
from werkzeug.wrappers import Response

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>scooter-accumulator</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({
  url: "/docs/openapi.json", dom_id: "#swagger-ui", validatorUrl: null,
  deepLinking: true, persistAuthorization: true, tryItOutEnabled: true,
})
</script>
</body>
</html>
"""


class DocsPage:
    """Serves the page, its assets, and the API's document without the cloud's extensions."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def answer(self, path: str) -> Response | None:
        """Return the response to a GET of `path`; None if there is no such page."""
        directory, _, name = path.strip("/").partition("/")
        if directory != "docs":
            return None
        if not name:
            return Response(_PAGE, mimetype="text/html")
        if name == "openapi.json":
            served_here = {**_without_extensions(self._document), "servers": [{"url": "/"}]}
            return Response(json.dumps(served_here), mimetype="application/json")
        if name in _ASSETS:
            return Response((swagger_ui_path / name).read_bytes(), mimetype=_ASSETS[name])
        return None


def _without_extensions(value: Any) -> Any:
    """Remove the parts that only the cloud's gateway reads."""
    if isinstance(value, dict):
        return {
            key: _without_extensions(inner)
            for key, inner in value.items()
            if not key.startswith("x-yc-")
        }
    if isinstance(value, list):
        return [_without_extensions(inner) for inner in value]
    return value
