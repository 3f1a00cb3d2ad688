"""Statements and round trips of every operation, counted at the driver."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import city, database, operations, service
from benchmarks.city import City
from benchmarks.figures import Figure, Measured, Table, readable
from benchmarks.operations import Step
from benchmarks.reports import Reports
from benchmarks.service import Invocation, Service

_HOW = """\
Every operation of docs/openapi.json (a successful call) and the two triggers, once, with 100
cabinets, counted at the driver. A *round trip* is one message to the database and its response.
It may carry several *statements*: the first of a transaction also carries `BEGIN` and settings.
*Commits* are those that write something and wait for the disk; locking a row also writes. Each
unlock is counted with a single read of the command, after the reply; for the reads while it
waits see [Unlock](#unlock)."""
_DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"
_BATCHES = (1, 10, 100)
_GOAL = 4


def measure(*, quick: bool) -> Measured:
    """Count once; `quick` changes nothing."""
    del quick
    place = City(100)
    with database.running() as db:
        city.fill(db, place)
        with service.running(db, asks_at_commit=True) as running:
            counted = [*_operations(running, place), *_triggers(running)]
    _check_complete({call.operation for _, call in counted})
    booking = next(call for name, call in counted if name == "create_booking")
    trips = len(booking.sent)
    return Measured(
        how=_HOW,
        figures=[
            Figure("round trips of a booking", trips, "", goal=f"≤ {_GOAL}", met=trips <= _GOAL)
        ],
        tables=[_table(counted)],
    )


def _operations(running: Service, place: City) -> list[tuple[str, Invocation]]:
    found: list[tuple[str, Invocation]] = []

    def act(step: Step) -> Any:
        answer, call = operations.perform(running, step)
        found.append((step.name, call))
        return answer

    # The first round only opens the connections.
    operations.perform_all(lambda step: operations.perform(running, step)[0], running, place, 1)
    operations.perform_all(act, running, place, 2)
    return found


def _triggers(running: Service) -> list[tuple[str, Invocation]]:
    found = []
    reports = Reports(running)
    for batch in _BATCHES:
        running.deliver(reports.batch(range(1, batch + 1)))
        words = "a report" if batch == 1 else f"{batch} reports"
        found.append((f"mqtt_trigger, {words}", running.invocations[-1]))
    running.poll()
    return [*found, ("poll_cabinets", running.invocations[-1])]


def _check_complete(operations: set[str]) -> None:
    paths = json.loads(_DOCUMENT.read_text())["paths"].values()
    documented = {
        about["operationId"]
        for path in paths
        for about in path.values()
        if isinstance(about, dict) and "operationId" in about
    }
    if missing := sorted(documented - operations):
        raise LookupError(f"no step for {', '.join(missing)}: add one to benchmarks/operations.py")


def _table(counted: Sequence[tuple[str, Invocation]]) -> Table:
    rows = [
        [
            name,
            len(call.sent),
            sum(sent.statements for sent in call.sent),
            sum(sent.wrote for sent in call.sent),
            readable(sum(len(sent.sql) for sent in call.sent)),
        ]
        for name, call in counted
    ]
    return Table(["operation", "round trips", "statements", "commits", "bytes of SQL"], rows)
