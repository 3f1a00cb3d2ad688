"""Everything that is stored about a contractor: its export, and its erasure."""

import time
from typing import Annotated

from pydantic import Field

from shared import cursor, db, log
from shared.db import Tx
from shared.errors import ContractorInUse, ContractorNotFound
from shared.models.base import Page
from shared.models.contractors import ContractorData, ContractorRecord, Erasure
from shared.repo import events, retention

MAX_SECONDS = 5.0
"""Of one request; the poll continues what is left."""

_Kind = Annotated[int, Field(ge=0, lt=len(retention.KINDS))]
_Number = Annotated[str, Field(max_length=64)]


def export(tx: Tx, contractor_id: str, query: Page) -> ContractorData:
    """Return a page of what is stored about a contractor, kind by kind.

    A page has records of one kind. Raises ContractorNotFound if nothing is stored.
    """
    given = cursor.decode(query.cursor, _Kind, _Number)
    if query.cursor is None and not retention.is_known(tx, contractor_id):
        raise ContractorNotFound
    kind, after = given[0] or 0, given[1] or ""
    while True:
        rows = retention.records(
            tx, contractor_id, retention.KINDS[kind], after=after, limit=query.limit + 1
        )
        page = rows[: query.limit]
        if page or kind == len(retention.KINDS) - 1:
            break
        kind, after = kind + 1, ""
    following: str | None = None
    if len(rows) > query.limit:
        following = cursor.encode(kind, page[-1]["number"])
    elif kind < len(retention.KINDS) - 1:
        following = cursor.encode(kind + 1, "")
    archive = retention.archive_of(tx, contractor_id)
    return ContractorData(
        records=[
            ContractorRecord(kind=retention.KINDS[kind], record=row["record"]) for row in page
        ],
        archived_months=archive["months"],
        pseudonym=archive["pseudonym"],
        next_cursor=following,
    )


def erase(contractor_id: str) -> Erasure:
    """Erase as much as a request has time for; each batch is a transaction of its own.

    Raises ContractorNotFound if nothing is stored, ContractorInUse.
    """
    with db.transaction() as tx:
        if not retention.is_known(tx, contractor_id):
            raise ContractorNotFound
        used = retention.in_use(tx, contractor_id)
        if any(used.values()):
            raise ContractorInUse(**used)
        retention.begin_erasure(tx, contractor_id)
    log.info("erasing a contractor")
    deadline = time.monotonic() + MAX_SECONDS
    with db.statements() as tx:
        events.sequence(tx)
        while retention.erase_some(tx, contractor_id):
            if time.monotonic() > deadline:
                return Erasure(status="erasing")
        done = contractor_id not in retention.erasures(tx)
    return Erasure(status="erased" if done else "erasing")
