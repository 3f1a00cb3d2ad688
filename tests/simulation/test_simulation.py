"""Run random seeds, every kept case, and every deliberate bug with its case.

The first seed follows from the code, so each change of the code tries new seeds. `make simulate`
runs more seeds, from a random one on.
"""

import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.postgres import Postgres
from tests.simulation import case
from tests.simulation.database import Database, prepared
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runner import plan_of, run
from tests.simulation.search import (
    describe_failure,
    for_seconds,
    replayed,
    search,
    seed_from_code,
)
from tests.simulation.transitions import Change, Coverage
from tests.support import command_line, pages

SECONDS = float(os.environ.get("SIMULATION_SECONDS", "4"))  # noqa: TID251 - a setting of the tests
FIRST = os.environ.get("SIMULATION_SEED")  # noqa: TID251 - a setting of the tests
COUNT = int(os.environ.get("SIMULATION_SEEDS", "0"))  # noqa: TID251 - a setting of the tests
"""How many seeds to run; 0: as many as fit into SECONDS."""
HALVES = 2
"""The seeds are divided between two tests, which can run in parallel."""
CASES = case.kept()
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()


@pytest.fixture(scope="module")
def simulated(postgres: Postgres) -> Iterator[Database]:
    with prepared(postgres) as database:
        yield database


@pytest.mark.parametrize("half", range(HALVES))
@pytest.mark.timeout(900 if COUNT else SECONDS / HALVES + 120)
def test_random_runs_break_no_rule(
    half: int, simulated: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (int(FIRST) if FIRST else seed_from_code()) + half * 10**6
    counted = range(first, first + COUNT // HALVES)
    progress = search(simulated, counted if COUNT else for_seconds(SECONDS / HALVES, first))
    summary = f"simulation: {progress.seeds} seeds from {first}, {progress.steps} steps"
    if progress.found is not None:
        pytest.fail(f"{summary}\n{describe_failure(progress.found, simulated)}", pytrace=False)
    with capsys.disabled():
        print(f"\n{summary}\n{progress.coverage.summary()}", file=sys.stderr)  # noqa: T201 - a report


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_kept_cases_break_no_rule_and_take_every_transition(simulated: Database) -> None:
    coverage = Coverage()
    for name, kept in CASES.items():
        result = replayed(kept, simulated)
        coverage.add(result.coverage)
        if result.violation is not None:
            command = f"reproduce: python -m tests.simulation --case {name}"
            pytest.fail("\n".join([*result.history, command]), pytrace=False)
    assert coverage.never_taken() == []


def test_a_committed_change_that_no_state_machine_allows_is_forbidden(simulated: Database) -> None:
    run(CASES["a-result-settles-a-command-that-is-pending"].plan, simulated)
    assert Coverage(simulated.changes()).forbidden() == []
    simulated.query(
        "UPDATE bookings SET status = 'active', finished_at = NULL WHERE status = 'completed'"
    )
    forbidden = Change("booking", "completed", "active")
    assert Coverage(simulated.changes()).forbidden() == [forbidden]


def test_a_transition_that_no_run_took_is_reported() -> None:
    taken = Change("cabinet", "active", "inactive")
    never = Coverage(written=Counter([taken])).never_taken()
    assert taken not in never
    assert Change("cabinet", "inactive", "active") in never


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, kept in CASES.items() if kept.bug])
def test_a_deliberate_bug_breaks_the_rule_that_its_case_names(
    name: str, simulated: Database
) -> None:
    result = replayed(CASES[name], simulated, mutated=True)
    rule = result.violation.rule if result.violation else "nothing"
    assert rule == CASES[name].shows, "\n".join(result.history)


def test_each_deliberate_bug_has_a_case() -> None:
    assert MUTATIONS.keys() == {kept.bug for kept in CASES.values()} - {""}


def test_the_documentation_lists_each_deliberate_bug() -> None:
    rows = (f"| {kept.bug} | {len(kept.plan.steps)} | {kept.shows} |" for kept in CASES.values())
    assert [row for row in rows if not row.startswith("|  |") and row not in DOCUMENTATION] == []


@pytest.mark.parametrize("name", CASES)
def test_a_case_survives_writing_and_reading(name: str) -> None:
    assert case.read(case.text_of(CASES[name])) == CASES[name]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run(simulated: Database) -> None:
    assert run(plan_of(7), simulated).history == run(plan_of(7), simulated).history


REPLAYS = [
    line
    for block in pages.shell_blocks("docs/reliability.md", "Simulation")
    for line in block.splitlines()
    if re.search("--(seed|case) ", line) and "--keep" not in line
]
"""The commands of the page that end within seconds and keep nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("command", REPLAYS)
def test_a_command_of_the_page_replays_a_run(command: str) -> None:
    done = command_line.run([sys.executable, *shlex.split(command, comments=True)[1:]])
    assert (done.returncode, done.stderr) == (0, "")
