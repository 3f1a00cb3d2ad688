"""Searching for an id of any kind."""

from typing import Literal

from pydantic import Field

from shared.models.base import Model, Request
from shared.values import Id

MAX_RESULTS = 20

FoundKind = Literal["cabinet", "accumulator", "contractor", "scooter", "booking", "command"]


class SearchQuery(Request):
    """What to search for."""

    q: Id = Field(description="An id, or the beginning of a cabinet's or an accumulator's")


class SearchResult(Model):
    """Something that has the id."""

    kind: FoundKind
    id: str


class SearchResults(Model):
    """What has exactly this id, then cabinets and accumulators whose ids begin with it."""

    results: list[SearchResult] = Field(max_length=MAX_RESULTS)
