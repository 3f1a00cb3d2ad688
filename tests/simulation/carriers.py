"""Random steps of those who carry accumulators: at scooters, and with each other.

Each returns its line of the history, or None if it does nothing.
"""

from local.cabinet.cells import Accumulator
from tests.simulation import backend
from tests.simulation.backend import Body, Request
from tests.simulation.calls import Disruption
from tests.simulation.memory import Report
from tests.simulation.people import key_of
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation


def swap(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A technician puts an accumulator into a scooter, takes the old one, and mostly reports it."""
    a, b, c, d = numbers
    who, scooter = sim.contractor(a), sim.scooters[b % len(sim.scooters)]
    bag = sim.world.bags[who]
    if not bag:
        return None
    installed, removed = bag[c % len(bag)], next(iter(sim.world.scooters[scooter]), None)
    bag.remove(installed)
    sim.world.scooters[scooter] = [installed]
    places = {installed.accumulator_id: scooter}
    text = f"{who} puts {installed.accumulator_id} into {scooter}"
    if removed is not None:
        bag.append(removed)
        text = f"{who} replaces {removed.accumulator_id} by {installed.accumulator_id} in {scooter}"
        if c // 5 % 6:  # otherwise the report does not name it
            places[removed.accumulator_id] = who
    _note_moved(sim, [installed, *([removed] if removed is not None else [])])
    if d % 10 == 0:
        return text + ", not reported"
    request = _swap_request(sim, numbers, Report("swap", places, scooter), who)
    return f"{text}: {_send(sim, disruption, numbers, request)}"


def empty(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A scooter gives up its accumulator at the warehouse; the technician mostly reports it."""
    a, b, _, d = numbers
    who, scooter = sim.carriers[a % len(sim.carriers)], sim.scooters[b % len(sim.scooters)]
    if not sim.world.scooters[scooter]:
        return None
    removed = sim.world.scooters[scooter].pop()
    sim.world.bags[who].append(removed)
    _note_moved(sim, [removed])
    text = f"{who} takes {removed.accumulator_id} out of {scooter}"
    if d % 10 == 0:
        return text + ", not reported"
    report = Report("swap", {removed.accumulator_id: who}, scooter)
    request = _swap_request(sim, numbers, report, who)
    return f"{text}: {_send(sim, disruption, numbers, request)}"


def hand_over(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """One hands accumulators over to another, mostly up to three, and mostly reports all."""
    a, b, c, d = numbers
    givers = [carrier for carrier in sim.carriers if sim.world.bags[carrier]]
    if not givers:
        return None
    giver = givers[a % len(givers)]
    takers = [carrier for carrier in sim.carriers if carrier != giver]
    taker, bag = takers[b % len(takers)], sim.world.bags[giver]
    given = bag[: 1 + c % 3]
    sim.world.bags[giver] = bag[1 + c % 3 :]
    sim.world.bags[taker] += given
    _note_moved(sim, given)
    ids = [*dict.fromkeys(one.accumulator_id for one in given)]
    text = f"{giver} hands {', '.join(ids)} over to {taker}"
    if d % 10 == 0:
        return text + ", not reported"
    if c // 3 % 6 == 0 and len(ids) > 1:
        ids.pop()  # the report does not name it
    request = _transfer_request(sim, numbers, Report("transfer", dict.fromkeys(ids, taker)), giver)
    return f"{text}: {_send(sim, disruption, numbers, request)}"


def _swap_request(sim: Simulation, numbers: Numbers, report: Report, who: str) -> Request:
    *_, d = numbers
    body: Body = {"scooter_id": report.scooter, "contractor_id": who}
    for accumulator_id, place in report.places.items():
        if place == report.scooter:
            body["installed_accumulator_id"] = accumulator_id
        else:
            body |= {"removed_accumulator_id": accumulator_id, "removed_battery_charge": d % 100}
    if d % 10 < 4:
        body["reconcile"] = True
    sim.memory.registered |= report.places.keys()  # a report registers what it names
    return backend.swap(body, key_of(sim, d), _remember(sim, report))


def _transfer_request(sim: Simulation, numbers: Numbers, report: Report, giver: str) -> Request:
    *_, d = numbers
    [taker] = {*report.places.values()}
    ids = [*report.places]
    body: Body = {"from_contractor_id": giver, "to_contractor_id": taker, "accumulator_ids": ids}
    if d % 10 < 4:
        body["reconcile"] = True
        sim.memory.registered |= report.places.keys()
    return backend.transfer(body, key_of(sim, d), _remember(sim, report))


def _remember(sim: Simulation, report: Report) -> int:
    """Remember a report; return its index."""
    sim.memory.reports.append(report)
    return len(sim.memory.reports) - 1


def _send(sim: Simulation, disruption: Disruption, numbers: Numbers, request: Request) -> str:
    """Send a report, sometimes twice."""
    reported = sim.memory.reports[-1].places.keys()
    if not request.key and reported & sim.world.uncertain:
        sim.memory.mark_overtaken({*reported})  # a retry without a key may be recorded as new
    text = sim.request(request, disruption)
    return f"{text}; retry: {sim.request(request, Disruption())}" if numbers[2] % 5 == 0 else text


def _note_moved(sim: Simulation, moved: list[Accumulator]) -> None:
    """Note that accumulators were moved, which the service does not know yet."""
    ids = {one.accumulator_id for one in moved}
    for accumulator_id in ids:
        sim.world.expected_places[accumulator_id] = None
        if sim.messages_in_flight(accumulator_id):
            sim.world.uncertain.add(accumulator_id)  # their order cannot be known
    if any(call.name.startswith(("swaps", "transfers")) for call in sim.calls):
        sim.memory.mark_overtaken(ids)


STEPS = {swap: 7, empty: 3, hand_over: 5}
