"""Idempotency keys: a repeated request gets the stored response."""

from dataclasses import dataclass
from uuid import UUID

from shared.db import Row, Tx
from shared.errors import IdempotencyKeyReused, RequestInProgress
from shared.repo import idempotency


@dataclass(frozen=True)
class Key:
    """A client's key for one request."""

    caller: str
    route: str
    key: str
    fingerprint: str
    """Hash of the request: another one under the same key is an error."""

    def row(self) -> Row:
        """Return the key as the repository takes it."""
        return dict(vars(self))


@dataclass(frozen=True)
class StoredResponse:
    """A final response."""

    status: int
    body: str


def begin(tx: Tx, key: Key, *, seconds: float, keep_hours: int) -> StoredResponse | UUID:
    """Claim the key, or return the response that is stored under it.

    `seconds`: how long the claiming function may live; a claim older than that has been left by a
    function that died. `keep_hours`: after this time, the key is as if it were new.

    A claim is the id for what the request creates. After the function died, the next one gets the
    same id, so that it finds what was created instead of creating it twice.

    Raises IdempotencyKeyReused for another request, RequestInProgress while the first one runs.
    """
    claim = idempotency.claim(tx, key.row(), claim_seconds=seconds, keep_hours=keep_hours)
    if claim is not None:
        return claim
    found = idempotency.find(tx, key.row())
    if found is None or found["fingerprint"] == key.fingerprint:
        if found is None or found["status"] is None:
            raise RequestInProgress
        return StoredResponse(status=found["status"], body=found["body"])
    raise IdempotencyKeyReused


def finish(tx: Tx, key: Key, response: StoredResponse, *, undone: bool) -> None:
    """Store a final response, or release the key after a server error.

    `undone`: the request certainly had no effect, so that the key may be used for a new one.
    """
    if response.status < 500:  # noqa: PLR2004 - server errors
        idempotency.store(tx, key.row(), status=response.status, body=response.body)
    else:
        idempotency.release(tx, key.row(), undone=undone)


def release(tx: Tx, key: Key) -> None:
    """Release the key without a stored response: the same request runs again, with the same id."""
    idempotency.release(tx, key.row(), undone=False)
