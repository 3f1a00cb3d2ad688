"""Random steps of operators who take cabinets and accumulators into service.

Each returns its line of the history, or None if it does nothing.
"""

from datetime import timedelta

from tests.simulation import backend, cabinets
from tests.simulation.calls import Disruption
from tests.simulation.memory import Violation
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation


def import_fleet(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """An operator imports a cabinet and some accumulators, perhaps as a dry run, perhaps twice."""
    a, b, c, d = numbers
    ids = sorted(sim.world.places())
    accumulators: list[dict[str, object]] = []
    for n in range(1 + c % 4):
        item: dict[str, object] = {"accumulator_id": ids[(a + n * (1 + b % 5)) % len(ids)]}
        if (b + n) % 3 == 0:
            item["contractor_id"] = sim.contractor(d + n)
        if (b + n) % 2 == 0:
            item["battery_charge"] = d % 100
        accumulators.append(item)
    cabinet = backend.cabinet(sim.cabinet_id(a), sim.plan.cells)
    is_dry_run = d % 4 == 0
    body = {"cabinets": [cabinet], "accumulators": accumulators, "dry_run": is_dry_run}
    request = backend.import_fleet(body)
    is_alone, before = not sim.calls, _contents(sim)
    text = sim.request(request, disruption)
    if is_dry_run and is_alone and _contents(sim) != before:
        raise Violation("a dry run changes nothing", text)
    if c % 3 == 0 or sim.calls or "→ 200" not in text:
        return text
    before = _contents(sim)
    text = f"{text}; again: {sim.request(request, Disruption())}"
    if _contents(sim) != before:
        raise Violation("the same import again changes nothing", text)
    return text


def enrol(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """An operator lets a cabinet enrol accumulators for some time, or ends that.

    Mostly a technician has one that nobody has registered.
    """
    cabinet_id = sim.cabinet_id(numbers[0])
    until = None
    if numbers[1] % 4:
        until = sim.clock.now() + timedelta(seconds=(10, 60, 600)[numbers[2] % 3])
        sim.memory.enrolments.append((cabinet_id, until))
    body = {"enrol_until": until and until.isoformat()}
    text = sim.request(backend.change_cabinet(cabinet_id, body), disruption)
    found = numbers[3] % 4 and cabinets.find_unregistered(sim, Disruption(), numbers)
    return f"{text}; {found}" if found else text


def _contents(sim: Simulation) -> object:
    """Return what an import of the simulation can change."""
    return sim.database.query(
        """SELECT (SELECT count(*) FROM movements) AS movements,
                  (SELECT count(*) FROM cabinets) AS cabinets,
                  (SELECT string_agg(a::text, ' ' ORDER BY accumulator_id)
                     FROM accumulators a) AS accumulators"""
    )


STEPS = {import_fleet: 3, enrol: 3}
