"""Imports: take many cabinets and accumulators into service, in one transaction.

Rules: docs/how-it-works.md, "Imports".
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, TypeVar

from shared import log
from shared.config import Settings
from shared.db import Tx
from shared.errors import Conflict, InvalidRequest, ServiceError
from shared.models.accumulators import AccumulatorRequest
from shared.models.cabinets import CabinetRequest
from shared.models.imports import (
    Import,
    ImportCounts,
    ImportRequest,
    ImportResult,
    InvalidField,
    Item,
    Outcomes,
)
from shared.repo import accumulators, cabinets
from shared.services import imported_accumulators, imported_cabinets

T = TypeVar("T", CabinetRequest, AccumulatorRequest)


class DuplicateItem(Conflict):
    """An earlier item of the import has the same id."""


def run(tx: Tx, request: ImportRequest, settings: Settings) -> Import:
    """Take the items into service; return what became of each. One that fails changes nothing.

    The same import again changes nothing more. A dry run has the same results and changes nothing.
    """
    tx.savepoint()
    while (done := _try_to_run(tx, request, settings)) is None:
        # Meanwhile somebody has registered or moved one of the accumulators.
        tx.rollback_to_savepoint()
    log.info("import", dry_run=request.dry_run, **done.counts.model_dump())
    return done


def _try_to_run(tx: Tx, request: ImportRequest, settings: Settings) -> Import | None:
    """Lock what the import names, decide, and write; None if it has to be run again."""
    cabinet_items = _checked(request.cabinets, "cabinets")
    accumulator_items = _checked(request.accumulators, "accumulators")
    cabinet_ids = {valid.cabinet_id for valid in _valid(cabinet_items)}
    accumulator_ids = {valid.accumulator_id for valid in _valid(accumulator_items)}
    if cabinet_ids:
        cabinets.lock_devices(tx)
    cabinet_ids |= cabinets.of_accumulators(tx, accumulator_ids)
    locked = {row["cabinet_id"]: row for row in cabinets.lock(tx, cabinet_ids)}
    of_cabinets = imported_cabinets.plan(tx, [*_valid(cabinet_items)], locked, settings)
    rows = accumulators.lock(tx, accumulator_ids)
    if {row["cabinet_id"] for row in rows.values()} - {None} - locked.keys():
        return None  # one entered another cabinet, which has to be locked before it
    of_accumulators = imported_accumulators.plan(tx, [*_valid(accumulator_items)], rows)
    if not request.dry_run:
        of_cabinets.save(tx)
        if not of_accumulators.save(tx):
            return None
    results = [
        *_results("cabinet", request.cabinets, cabinet_items, of_cabinets.outcomes),
        *_results("accumulator", request.accumulators, accumulator_items, of_accumulators.outcomes),
    ]
    counts = Counter(str(result.result) for result in results)
    return Import(results=results, counts=ImportCounts(**counts))


def _checked(items: Sequence[Item[T]], name: str) -> list[T | ServiceError]:
    """Return each item's request, or why it fails: it is invalid, or an earlier one has its id."""
    checked: list[T | ServiceError] = []
    first: dict[str, int] = {}
    for position, item in enumerate(items):
        if item.request is None:
            checked.append(InvalidRequest(errors=item.errors))
        elif (known := first.setdefault(_id_of(item.request), position)) != position:
            detail = f"{name}[{known}] of this import has the same id; send each id once."
            checked.append(DuplicateItem(detail=detail))
        else:
            checked.append(item.request)
    return checked


def _valid(checked: Sequence[T | ServiceError]) -> Iterator[T]:
    for one in checked:
        if not isinstance(one, ServiceError):
            yield one


def _id_of(request: CabinetRequest | AccumulatorRequest) -> str:
    return request.cabinet_id if isinstance(request, CabinetRequest) else request.accumulator_id


def _results(
    kind: Literal["cabinet", "accumulator"],
    items: Sequence[Item[T]],
    checked: Sequence[T | ServiceError],
    outcomes: Outcomes,
) -> Iterator[ImportResult]:
    for item, one in zip(items, checked, strict=True):
        outcome = one if isinstance(one, ServiceError) else outcomes[_id_of(one)]
        if not isinstance(outcome, ServiceError):
            yield ImportResult(kind=kind, id=item.given_id, result=outcome)
            continue
        faults = outcome.errors if isinstance(outcome, InvalidRequest) else []
        yield ImportResult(
            kind=kind,
            id=item.given_id,
            result="failed",
            code=outcome.code(),
            detail=str(outcome),
            errors=[InvalidField(**fault) for fault in faults],
        )
