"""One soak: a local cloud under load, looked at every minute, and audited at the end."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.api import Api
from local.stack import API_KEYS
from tests.e2e.running import Running
from tests.soak.city import City
from tests.soak.gauges import Gauges
from tests.soak.load import Load, Results
from tests.soak.moods import Moods
from tests.soak.plan import Plan
from tests.soak.truth import settle
from tests.soak.verdicts import Minute, Verdict, over_time

MINUTE = 60.0


@dataclass
class Findings:
    """What was seen."""

    results: Results
    minutes: list[Minute] = field(default_factory=list)
    tables: list[tuple[Any, ...]] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    stats_ms: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    violations: list[Any] = field(default_factory=list)
    interrupted: bool = False

    def verdicts(self) -> list[Verdict]:
        """What all this says."""
        faults = self.results.faults
        found = [
            Verdict(not faults, f"answers that may not be: {len(faults)}"),
            Verdict(not self.violations, f"violations in the audit: {len(self.violations)}"),
        ]
        if not self.interrupted:
            count = len(self.differences)
            text = f"places, doors and commands that are not as they really are: {count}"
            found.append(Verdict(count == 0, text))
        return found + over_time(self.minutes)


def run(stack: Running, plan: Plan, tell: Callable[[Findings], None] = lambda _: None) -> Findings:
    """Soak a stack; `tell` is called after each minute. Ctrl-C ends it early."""
    city = City(stack.control, scooters=max(20, plan.cabinets // 2), seed=plan.seed)
    for body in city.registrations():
        stack.operator.post("/v1/accumulators", body)
    api = Api(stack.url, API_KEYS["backend"])
    load = Load(api, city, cabinets=plan.cabinets, rate=plan.rate, seed=plan.seed)
    findings = Findings(load.results)
    with Gauges(stack) as gauges:
        with Moods(stack.control, plan):
            look = partial(_look, api, gauges, findings, tell)
            findings.interrupted = not _sent_whole(load, plan.seconds, look)
        if not findings.interrupted:
            findings.differences = settle(stack, city, gauges, seconds=plan.settle_seconds)
        _ask_for_stats(api, findings)
        findings.tables = gauges.tables()
    return findings


def _sent_whole(load: Load, seconds: float, look: Callable[[], None]) -> bool:
    """Send the load and look every minute; whether that came to its end."""
    sending = threading.Thread(target=load.run, args=(seconds,), name="load")
    sending.start()
    at = time.monotonic()
    try:
        while sending.is_alive():
            at += MINUTE
            while sending.is_alive() and (left := at - time.monotonic()) > 0:
                sending.join(left)
            look()
    except KeyboardInterrupt:
        load.stop()
        sending.join()
        look()
        return False
    finally:
        load.stop()
        sending.join()
    return True


def _look(api: Api, gauges: Gauges, findings: Findings, tell: Callable[[Findings], None]) -> None:
    tally = findings.results.next_minute()
    findings.minutes.append(Minute(tally, gauges.read()))
    _ask_for_stats(api, findings)
    tell(findings)


def _ask_for_stats(api: Api, findings: Findings) -> None:
    begun = time.monotonic()
    findings.stats = api.get("/v1/stats")
    findings.stats_ms.append((time.monotonic() - begun) * 1000)
    new = (one for one in findings.stats["audit"]["violations"] if one not in findings.violations)
    findings.violations += new
