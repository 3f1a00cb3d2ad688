"""Idempotency keys: the same request again gives the stored answer."""

from dataclasses import dataclass
from uuid import UUID

from shared.db import Row, Tx
from shared.errors import IdempotencyKeyReused, RequestInProgress
from shared.repo import idempotency


@dataclass(frozen=True)
class Key:
    """One client's key for one intent."""

    caller: str
    route: str
    key: str
    fingerprint: str
    """What the request asked for: another fingerprint under the same key is a mistake."""

    def row(self) -> Row:
        """As the repository takes it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Stored:
    """A final answer."""

    status: int
    body: str


def begin(tx: Tx, key: Key, *, seconds: float) -> Stored | UUID:
    """Claim the key, or give the answer that is stored under it.

    `seconds`: how long the claim's holder may live, so that who has a claim after it is dead.

    A claim is the id of what the request makes: the same again if its first holder died, so that
    what was made is found and not made twice.

    Raises IdempotencyKeyReused for another request, RequestInProgress while the first one runs.
    """
    claim = idempotency.claim(tx, key.row(), claim_seconds=seconds)
    if claim is not None:
        return claim
    found = idempotency.find(tx, key.row())
    if found is None or found["fingerprint"] == key.fingerprint:
        if found is None or found["status"] is None:
            raise RequestInProgress
        return Stored(status=found["status"], body=found["body"])
    raise IdempotencyKeyReused


def finish(tx: Tx, key: Key, answer: Stored, *, undone: bool) -> None:
    """Keep a final answer; one that is not final gives the key back.

    `undone`: it is certain that nothing was done, so that the same key may do it anew.
    """
    if answer.status < 500:  # noqa: PLR2004 - the border of HTTP's server errors
        idempotency.store(tx, key.row(), status=answer.status, body=answer.body)
    else:
        idempotency.release(tx, key.row(), undone=undone)
