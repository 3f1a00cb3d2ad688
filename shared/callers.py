"""Callers: API keys and their scopes."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args
from uuid import UUID, uuid4

from shared.errors import Forbidden, Unauthenticated

Scope = Literal["read", "backend", "operator"]
"""From least to most privileged; each scope includes those before it."""

_RANK = {scope: rank for rank, scope in enumerate(get_args(Scope))}


@dataclass(frozen=True)
class Caller:
    """The caller of a request; `name` is the name of its API key, never the key."""

    name: str
    scope: Scope
    new_id: UUID = field(default_factory=uuid4)
    """The id for what this request creates; with an Idempotency-Key, a retry has the same."""

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the key's scope is at least `scope`."""
        if _RANK[self.scope] < _RANK[scope]:
            raise Forbidden(
                detail=f"This request needs scope {scope}; the key has scope {self.scope}."
            )


def identify(api_keys: str, authorization: str) -> Caller | None:
    """Return the caller whose key an Authorization header carries; None for an unknown key.

    `api_keys`: name:scope:sha256-of-the-key, comma-separated. The comparison takes constant time.
    """
    scheme, _, key = authorization.partition(" ")
    digest = hashlib.sha256(key.strip().encode(errors="surrogatepass")).hexdigest()
    found = None
    for entry in filter(str.strip, api_keys.replace("\n", ",").split(",")):
        name, scope, expected = entry.strip().split(":")
        if hmac.compare_digest(digest, expected.lower()):
            found = Caller(name=name, scope=cast(Scope, scope))
    return found if scheme.lower() == "bearer" and found and found.scope in _RANK else None


def caller_of(event: dict[str, Any]) -> Caller:
    """Return the caller that the authorizer put into the event. Raises Unauthenticated."""
    context = (event.get("requestContext") or {}).get("authorizer") or {}
    if context.get("scope") not in _RANK or not context.get("name"):
        raise Unauthenticated
    return Caller(name=context["name"], scope=context["scope"])
