"""Sends items to `POST /v1/imports` in chunks, and collects what became of each."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from tools import ToolError
from tools.fleet.records import KINDS, Failure, Fault, Item, Kind
from tools.service import Service

CHUNK = 1_000
PATH = "/v1/imports"

Result = Literal["created", "updated", "unchanged", "failed"]
RESULTS: tuple[Result, ...] = ("created", "updated", "unchanged", "failed")


class _FieldError(BaseModel):
    field: str
    message: str


class _Outcome(BaseModel):
    result: Result
    code: str | None = None
    detail: str | None = None
    errors: list[_FieldError] = []


class _Answer(BaseModel):
    results: list[_Outcome]


@dataclass
class Outcome:
    """What became of all records so far, or would become of them."""

    counts: Counter[tuple[Kind | None, Result]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def fail(self, failures: Sequence[Failure]) -> None:
        """Add records that were not imported."""
        self.failures += failures
        self.counts.update((failure.kind, "failed") for failure in failures)

    def total(self, *results: Result) -> int:
        """Return how many records have one of these results."""
        return sum(count for (_, result), count in self.counts.items() if result in results)


def send(
    service: Service,
    items: Sequence[Item],
    outcome: Outcome,
    *,
    dry_run: bool,
    advance: Callable[[int], None] = lambda _count: None,
) -> None:
    """Send all items, and add what became of them to `outcome`, chunk by chunk.

    A chunk has one idempotency key in all its attempts. A chunk that is sent by a later run changes
    nothing, because an import is idempotent.
    """
    for start in range(0, len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        answer = service.post(PATH, _request(chunk, dry_run=dry_run))
        for item, result in zip(chunk, _results(answer, len(chunk)), strict=True):
            if result.result == "failed":
                outcome.fail([Failure(item.record, _faults(result), item.kind, item.item_id)])
            else:
                outcome.counts[item.kind, result.result] += 1
        advance(len(chunk))


def _request(chunk: Sequence[Item], *, dry_run: bool) -> bytes:
    body: dict[str, Any] = {
        f"{kind}s": [dict(item.body) for item in chunk if item.kind == kind] for kind in KINDS
    }
    given = {name: items for name, items in body.items() if items} | {"dry_run": dry_run}
    return json.dumps(given, ensure_ascii=False).encode()


def _results(answer: Any, count: int) -> Sequence[_Outcome]:
    try:
        results = _Answer.model_validate(answer).results
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise ToolError(f"unexpected answer of POST {PATH}: {where}: {wrong['msg']}") from None
    if len(results) != count:
        raise ToolError(f"POST {PATH} answered for {len(results)} items of {count}")
    return results


def _faults(result: _Outcome) -> list[Fault]:
    code = result.code or "failed"
    if result.errors:
        return [Fault(e.field.rpartition(".")[2], e.message, code) for e in result.errors]
    return [Fault("", result.detail or code, code)]
