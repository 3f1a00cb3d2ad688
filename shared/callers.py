"""Who calls: API keys, their scopes, and what a request may do."""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args
from uuid import UUID, uuid4

from shared.errors import Forbidden, Unauthenticated

Scope = Literal["read", "backend", "operator"]
"""From the least to the most: each may do what those before it may."""

_RANK = {scope: rank for rank, scope in enumerate(get_args(Scope))}


@dataclass(frozen=True)
class Caller:
    """The API key that a request came with; `name` is the key's name, never the key."""

    name: str
    scope: Scope
    new_id: UUID = field(default_factory=uuid4)
    """The id for what this request makes; with an Idempotency-Key the same when it is repeated."""

    def require(self, scope: Scope) -> None:
        """Raise Forbidden unless the key's scope is at least `scope`."""
        if _RANK[self.scope] < _RANK[scope]:
            raise Forbidden(detail=f"This needs scope {scope}; the key has {self.scope}.")


def identify(api_keys: str, authorization: str) -> Caller | None:
    """Whose key an Authorization header carries; None if nobody's.

    `api_keys`: name:scope:sha256-of-the-key, comma-separated. Takes the same time for every key.
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
    """The caller that the authorizer has put into the event. Raises Unauthenticated."""
    context = (event.get("requestContext") or {}).get("authorizer") or {}
    if context.get("scope") not in _RANK or not context.get("name"):
        raise Unauthenticated
    return Caller(name=context["name"], scope=context["scope"])
