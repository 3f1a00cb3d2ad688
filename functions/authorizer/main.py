"""Whose API key a request carries: asked by the gateway before it calls a function."""

from typing import Any

from shared import config, log
from shared.callers import identify


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer the gateway: the key's name and scope become the request's authorizer context.

    What a scope may do is decided by each route: this answer depends on the key alone, so that the
    gateway may cache it by key.
    """
    settings = config.settings()
    log.begin(settings.log_level, request_id=context.request_id)
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    caller = identify(settings.api_keys, headers.get("authorization", ""))
    if caller is None:
        log.info("unknown API key")
        return {"isAuthorized": False}
    return {"isAuthorized": True, "context": {"name": caller.name, "scope": caller.scope}}
