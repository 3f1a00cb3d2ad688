"""New seeds for each change of the code, every case that is kept, every deliberate bug by its case.

`make simulate` explores longer, and anywhere.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import Postgres
from tests.simulation import case
from tests.simulation.database import Database, prepared
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runner import plan_of, run
from tests.simulation.search import for_seconds, replayed, search, seed_of_the_code, told

SECONDS = float(os.environ.get("SIMULATION_SECONDS", "120"))  # noqa: TID251 - a setting of the tests
FIRST = os.environ.get("SIMULATION_SEED")  # noqa: TID251 - a setting of the tests
COUNT = int(os.environ.get("SIMULATION_SEEDS", "0"))  # noqa: TID251 - a setting of the tests
"""So many seeds, however long they take; 0: as many as there is time for."""
HALVES = 2
"""Of that time, so that two workers share it, and other tests run beside."""
CASES = case.kept()
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
_BUGS = {kept.bug for kept in CASES.values()} - {""}


@pytest.fixture(scope="module")
def simulated(postgres: Postgres) -> Iterator[Database]:
    with prepared(postgres) as database:
        yield database


@pytest.mark.parametrize("half", range(HALVES))
@pytest.mark.timeout(900 if COUNT else SECONDS / HALVES + 120)
def test_nothing_is_lost_doubled_or_invented_whatever_goes_wrong(
    half: int, simulated: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (int(FIRST) if FIRST else seed_of_the_code()) + half * 10**6
    counted = range(first, first + COUNT // HALVES)
    progress = search(simulated, counted if COUNT else for_seconds(SECONDS / HALVES, first))
    did = f"simulation: {progress.seeds} seeds from {first}, {progress.steps} steps"
    if progress.found is not None:
        pytest.fail(f"{did}\n{told(progress.found, simulated)}", pytrace=False)
    with capsys.disabled():
        print(f"\n{did}", file=sys.stderr)  # noqa: T201 - so that this run can be had again


@pytest.mark.parametrize("name", CASES)
def test_a_case_that_failed_once_fails_no_more(name: str, simulated: Database) -> None:
    outcome = replayed(CASES[name], simulated)
    if outcome.violation is not None:
        again = f"again: python -m tests.simulation --case {name}"
        pytest.fail("\n".join([*outcome.history, again]), pytrace=False)


@pytest.mark.parametrize("name", [name for name, kept in CASES.items() if kept.bug])
def test_a_deliberate_bug_is_found_by_its_case(name: str, simulated: Database) -> None:
    outcome = replayed(CASES[name], simulated, mutated=True)
    rule = outcome.violation.rule if outcome.violation else "nothing"
    assert rule == CASES[name].shows, "\n".join(outcome.history)


def test_each_deliberate_bug_has_a_case() -> None:
    assert MUTATIONS.keys() == _BUGS


def test_the_documentation_lists_each_deliberate_bug() -> None:
    rows = (f"| {kept.bug} | {len(kept.plan.steps)} | {kept.shows} |" for kept in CASES.values())
    assert [row for row in rows if not row.startswith("|  |") and row not in DOCUMENTATION] == []


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_written_as_it_is_read(name: str) -> None:
    assert case.read(case.text_of(CASES[name])) == CASES[name]


def test_the_same_seed_is_the_same_run(simulated: Database) -> None:
    assert run(plan_of(7), simulated).history == run(plan_of(7), simulated).history
