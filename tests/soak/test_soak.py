"""A soak of seconds, with all checks except those of growth."""

from pathlib import Path

import pytest

from tests.soak.load import WORKERS
from tests.soak.plan import Plan
from tests.soak.soak import run
from tests.support.command_line import SHORT_WAITS
from tests.support.local_cloud import running

PLAN = Plan(
    seconds=10,
    cabinets=100,
    rate=20,
    seed=1,
    faulty_share=0.1,
    faulty_seconds=3,
    settle_seconds=60,
)
SETTINGS = {**SHORT_WAITS, "POLL_SPREAD_SECONDS": "1"}
FUNCTIONS_WITHOUT_REQUESTS = 2  # poll_cabinets and mqtt_trigger, one instance each


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from Linux's /proc"
)
def test_every_accumulator_is_recorded_at_its_real_place_after_a_short_load() -> None:
    options = ("--cabinets", str(PLAN.cabinets), "--poll-seconds", "3", "--no-rate-limits")
    with running(*options, settings=SETTINGS) as stack:
        findings = run(stack, PLAN)
    assert [*findings.results.faults, *findings.violations, *findings.differences] == []
    assert all(verdict.holds for verdict in findings.verdicts())
    [minute] = findings.minutes
    assert minute.sample.connections <= WORKERS + FUNCTIONS_WITHOUT_REQUESTS
    outcomes = minute.tally.outcomes
    assert outcomes.total() == pytest.approx(PLAN.seconds * PLAN.rate, rel=0.3)
    operations = {name.split()[0] for name in outcomes}
    assert operations >= {"near", "book", "unlock", "swap", "cabinet", "refused"}
