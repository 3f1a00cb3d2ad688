"""Contractors: who carries what, and since when."""

from shared import cursor
from shared.db import Tx
from shared.models.contractors import MAX_ITEMS, Contractor, ContractorPage, ContractorQuery
from shared.repo import contractors
from shared.values import Id


def listing(tx: Tx, query: ContractorQuery) -> ContractorPage:
    """Return a page of the contractors that carry something or have open bookings, by id."""
    [after] = cursor.decode(query.cursor, Id)
    conditions = {**query.model_dump(), "after": after, "max_items": MAX_ITEMS}
    rows = contractors.listing(tx, conditions)
    page = rows[: query.limit]
    has_more = len(rows) > query.limit
    return ContractorPage(
        contractors=[Contractor.model_validate(row) for row in page],
        next_cursor=cursor.encode(page[-1]["contractor_id"]) if has_more else None,
    )
