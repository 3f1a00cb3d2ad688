"""Searching for an id of any kind."""

from uuid import UUID

from shared.db import Tx
from shared.models.search import MAX_RESULTS, SearchQuery, SearchResults
from shared.repo import search


def find(tx: Tx, query: SearchQuery) -> SearchResults:
    """Return what has exactly this id, then cabinets and accumulators that begin with it."""
    return SearchResults(results=search.find(tx, query.q, _own_id(query.q), limit=MAX_RESULTS))


def _own_id(text: str) -> UUID | None:
    """Return the id that the service may have given; None if it gives no such ids."""
    try:
        return UUID(text)
    except ValueError:
        return None
