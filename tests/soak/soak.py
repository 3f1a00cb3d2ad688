"""One soak: a local cloud under load, measured every minute, and checked at the end."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.api import Api
from local.stack import API_KEYS
from tests.soak.cabinet_faults import CabinetFaults
from tests.soak.load import Load, Results
from tests.soak.plan import Plan
from tests.soak.samples import Sampler
from tests.soak.technicians import Technicians
from tests.soak.truth import differences_at_rest
from tests.soak.verdicts import Minute, Verdict, over_time
from tests.support.local_cloud import LocalCloud

MINUTE = 60.0


@dataclass
class Findings:
    """The results of a soak."""

    results: Results
    minutes: list[Minute] = field(default_factory=list)
    tables: list[tuple[Any, ...]] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    stats_ms: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    violations: list[Any] = field(default_factory=list)
    interrupted: bool = False

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts on all results."""
        faults = self.results.faults
        found = [
            Verdict(not faults, f"unexpected responses: {len(faults)}"),
            Verdict(not self.violations, f"violations in the audit: {len(self.violations)}"),
        ]
        if not self.interrupted:
            count = len(self.differences)
            text = f"records that differ from the physical truth: {count}"
            found.append(Verdict(count == 0, text))
        return found + over_time(self.minutes)


def run(
    stack: LocalCloud, plan: Plan, report: Callable[[Findings], None] = lambda _: None
) -> Findings:
    """Soak a stack; `report` is called after each minute. Ctrl-C stops it early."""
    technicians = Technicians(stack.control, scooters=max(20, plan.cabinets // 2), seed=plan.seed)
    for body in technicians.registrations():
        stack.operator.post("/v1/accumulators", body)
    api = Api(stack.url, API_KEYS["backend"])
    load = Load(api, technicians, cabinets=plan.cabinets, rate=plan.rate, seed=plan.seed)
    findings = Findings(load.results)
    with Sampler(stack) as sampler:
        with CabinetFaults(stack.control, plan):
            measure = partial(_measure, api, sampler, findings, report)
            findings.interrupted = not _send_all(load, plan.seconds, measure)
        if not findings.interrupted:
            findings.differences = differences_at_rest(
                stack, technicians, sampler, seconds=plan.settle_seconds
            )
        _get_stats(api, findings)
        findings.tables = sampler.tables()
    return findings


def _send_all(load: Load, seconds: float, measure: Callable[[], None]) -> bool:
    """Send the load and measure every minute; return False if it was interrupted."""
    sending = threading.Thread(target=load.run, args=(seconds,), name="load")
    sending.start()
    at = time.monotonic()
    try:
        while sending.is_alive():
            at += MINUTE
            while sending.is_alive() and (left := at - time.monotonic()) > 0:
                sending.join(left)
            measure()
    except KeyboardInterrupt:
        load.stop()
        sending.join()
        measure()
        return False
    finally:
        load.stop()
        sending.join()
    return True


def _measure(
    api: Api, sampler: Sampler, findings: Findings, report: Callable[[Findings], None]
) -> None:
    tally = findings.results.next_minute()
    findings.minutes.append(Minute(tally, sampler.take()))
    _get_stats(api, findings)
    report(findings)


def _get_stats(api: Api, findings: Findings) -> None:
    started = time.monotonic()
    findings.stats = api.get("/v1/stats")
    findings.stats_ms.append((time.monotonic() - started) * 1000)
    new = (one for one in findings.stats["audit"]["violations"] if one not in findings.violations)
    findings.violations += new
