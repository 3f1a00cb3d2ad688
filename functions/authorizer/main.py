"""The gateway's authorizer: identify the caller by the request's API key."""

from typing import Any

from shared import config, log
from shared.callers import identify


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the key's name and scope, which the gateway adds to the request's event.

    The response depends only on the key, so that the gateway may cache it; each route checks the
    scope.
    """
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    caller = identify(settings.api_keys, headers.get("authorization", ""))
    if caller is None:
        log.info("unknown API key")
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"name": caller.name, "scope": caller.scope}}
