"""A soak of seconds: what an hour checks, but for what only hours show."""

from pathlib import Path

import pytest

from tests.e2e.command_line import SHORT
from tests.e2e.running import running
from tests.soak.load import WORKERS
from tests.soak.plan import Plan
from tests.soak.soak import run

PLAN = Plan(
    seconds=10,
    cabinets=100,
    rate=20,
    seed=1,
    spoilt_share=0.1,
    spoilt_seconds=3,
    settle_seconds=60,
)
SETTINGS = {**SHORT, "POLL_SPREAD_SECONDS": "1"}
FUNCTIONS_WITHOUT_REQUESTS = 2  # poll_cabinets and mqtt_trigger: one call at a time


@pytest.mark.timeout(180)
@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc"
)
def test_after_seconds_of_load_everything_is_where_it_really_is() -> None:
    options = ("--cabinets", str(PLAN.cabinets), "--poll-seconds", "3")
    with running(*options, settings=SETTINGS) as stack:
        findings = run(stack, PLAN)
    assert [*findings.results.faults, *findings.violations, *findings.differences] == []
    assert all(verdict.holds for verdict in findings.verdicts())
    [minute] = findings.minutes
    assert minute.reading.connections <= WORKERS + FUNCTIONS_WITHOUT_REQUESTS
    outcomes = minute.tally.outcomes
    assert outcomes.total() == pytest.approx(PLAN.seconds * PLAN.rate, rel=0.3)
    operations = {name.split()[0] for name in outcomes}
    assert operations >= {"near", "book", "unlock", "swap", "cabinet", "refused"}
