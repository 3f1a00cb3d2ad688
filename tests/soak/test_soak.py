"""A soak of seconds: what an hour checks, but for what only hours show."""

from pathlib import Path

import pytest

from tests.e2e.command_line import SHORT
from tests.e2e.running import running
from tests.soak.load import WORKERS
from tests.soak.soak import Findings, Plan, run

PLAN = Plan(
    seconds=10,
    cabinets=100,
    rate=20,
    seed=1,
    spoilt_share=0.05,
    spoilt_seconds=3,
    settle_seconds=60,
)
SETTINGS = {**SHORT, "POLL_SPREAD_SECONDS": "1"}

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc"
)


@pytest.fixture(scope="module")
def findings() -> Findings:
    """What ten seconds have shown; the cloud itself is checked when it stops."""
    options = ("--cabinets", str(PLAN.cabinets), "--poll-seconds", "3")
    with running(*options, settings=SETTINGS) as stack:
        return run(stack, PLAN)


@pytest.mark.timeout(180)
def test_all_holds_after_seconds_of_load(findings: Findings) -> None:
    told = [*findings.results.faults, *findings.violations, *findings.differences]
    assert told == []
    assert all(verdict.holds for verdict in findings.verdicts())


@pytest.mark.timeout(180)
def test_the_load_was_what_was_asked_for(findings: Findings) -> None:
    [minute] = findings.minutes
    outcomes = minute.tally.outcomes
    assert outcomes.total() == pytest.approx(PLAN.seconds * PLAN.rate, rel=0.3)
    operations = {name.split()[0] for name in outcomes}
    assert operations >= {"near", "book", "unlock", "swap", "cabinet", "refused"}
    assert outcomes["swap 200"] > 0


@pytest.mark.timeout(180)
def test_there_are_no_more_connections_than_requests_at_once(findings: Findings) -> None:
    [minute] = findings.minutes
    functions_with_a_database = 6
    assert minute.reading.connections <= WORKERS + functions_with_a_database
