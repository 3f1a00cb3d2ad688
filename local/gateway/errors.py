"""Responses of the gateway itself, when no function serves the request."""

import json
from typing import Any

from werkzeug.wrappers import Response

from shared import errors

_PROBLEMS = {
    "unauthenticated": (401, errors.Unauthenticated.title()),
    "forbidden": (403, errors.Forbidden.title()),
    "route_not_found": (404, errors.RouteNotFound.title()),
    "request_too_large": (413, errors.RequestTooLarge.title()),
    "rate_limited": (429, errors.RateLimited.title()),
    "internal": (500, errors.Internal.title()),
    "bad_gateway": (502, "The function returned no valid response."),
    "gateway_timeout": (504, "The function did not return in time."),
}


class GatewayError(Exception):
    """An error response of the gateway. `code`: a key of _PROBLEMS."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.fields = fields or {}

    def response(self, request_id: str) -> Response:
        """Return the response, a problem (RFC 9457)."""
        status, title = _PROBLEMS[self.code]
        problem = {
            "type": f"urn:scooter-accumulator:{self.code}",
            "title": title,
            "status": status,
            "detail": self.detail or title,
            "code": self.code,
            "request_id": request_id,
            **self.fields,
        }
        response = Response(json.dumps(problem), status, mimetype="application/problem+json")
        if "retry_after_s" in self.fields:
            response.headers["Retry-After"] = str(self.fields["retry_after_s"])
        if "stackTrace" in self.fields:
            response.headers["X-Function-Error"] = "true"
        return response
