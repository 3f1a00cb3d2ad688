"""What people and their programs do: backends, technicians, operators, and time."""

from local.cabinet.cells import Accumulator
from tests.simulation import backend
from tests.simulation.backend import Request
from tests.simulation.calls import Course
from tests.simulation.simulation import Simulation
from tests.simulation.world import Spot

NOTHING = "nothing is on its way"
PAUSES_S = (0.5, 3, 8, 16, 61, 200, 620, 1900)


def book(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str:
    """A backend books."""
    a, b, c, d = numbers
    body: dict[str, object] = {
        "cabinet_id": _cabinet(sim, a),
        "contractor_id": _contractor(sim, b),
        "kind": "issue" if c % 10 < 6 else "return",
        "count": 1 + d % 3 % (1 + sim.plan.cells // 2),
    }
    if c % 4 == 0:
        body["allow_partial"] = True
    key = _key(sim, a + b)
    if key is not None and body["kind"] == "issue":
        sim.memory.keyed_bookings += 1
        body["min_charge"] = sim.memory.keyed_bookings  # so that it is known again
    return sim.request(backend.book(body, key), course)


def unlock(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """A backend asks to open a booking's cells; mostly of a recent one."""
    known = sim.memory.bookings
    if not known:
        return None
    booking = known[-1 - numbers[0] % min(len(known), 3)]
    return sim.request(backend.unlock(booking.booking_id, _key(sim, numbers[1])), course)


def cancel(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """A backend cancels."""
    known = sim.memory.bookings
    if not known:
        return None
    booking = known[-1 - numbers[0] % min(len(known), 3)]
    return sim.request(backend.cancel(booking.booking_id), course)


def retry(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """A backend sends one of its last requests again, whatever came of it."""
    requests = sim.memory.requests
    if numbers[1] % 2 and sim.memory.unanswered:
        requests = sim.memory.unanswered
    if not requests:
        return None
    request = requests[-1 - numbers[0] % min(len(requests), 6)]
    if request.swap is not None and not request.key and request.swap != len(sim.memory.swaps) - 1:
        return None  # without a key an old report cannot be told from a new one
    return "again: " + sim.request(request, course)


def visit(sim: Simulation, _course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """A technician does something at an open door: mostly the one it was opened for."""
    a, b, c, d = numbers
    spots = _open_spots(sim)
    if not spots:
        return None
    spot = spots[a % len(spots)]
    owner = _opened_for(sim, spot)
    who = owner if owner and b % 8 else _contractor(sim, b)
    done = []
    inside = sim.world.content(spot)
    bag = sim.world.bags[who]
    if inside and c % 10 < 7:
        sim.world.take(spot, who)
        sure = spot not in sim.world.liars and inside not in sim.world.unsure
        known = who == owner and sure and _can_be_known(sim, spot, inside)
        sim.world.claims[inside] = who if known else None
        if sim.swap_on_its_way(inside):  # and may be taken before or after the cabinet's words
            sim.world.unsure.add(inside)
        done.append(f"takes {inside}")
    elif not inside and bag and c % 10 < 7:
        one = bag[b % len(bag)]
        sim.world.put(spot, who, one)
        done.append(f"puts {one.accumulator_id} in")
    if d % 10 < 8:
        sim.world.close(spot)
        done.append("closes the door")
    return f"{who} at {spot[0]}/{spot[1]}: {', '.join(done) or 'nothing'}"


def swap(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """A technician swaps at a scooter; mostly it is reported."""
    a, b, c, d = numbers
    who, scooter = _contractor(sim, a), sim.scooters[b % len(sim.scooters)]
    bag, inside = sim.world.bags[who], sim.world.scooters[scooter]
    if not bag:
        return None
    installed, removed = bag[c % len(bag)], inside[0]
    bag.remove(installed)
    bag.append(removed)
    sim.world.scooters[scooter] = [installed]
    for accumulator in (installed, removed):
        sim.world.claims[accumulator.accumulator_id] = None
        _doubt(sim, accumulator)
    ids = (installed.accumulator_id, removed.accumulator_id)
    if any(call.name.startswith("swaps") for call in sim.calls):
        sim.memory.overtake({*ids})
    told = f"{who} at {scooter} puts {ids[0]} in for {ids[1]}"
    if d % 10 == 0:
        return told + ", tells nobody"
    if c // 5 % 6 == 0:
        ids = (ids[0], "")  # he does not mention what he took out
    sim.memory.swaps.append((who, scooter, *ids))
    body: dict[str, object] = {
        "scooter_id": scooter,
        "contractor_id": who,
        "installed_accumulator_id": ids[0],
    }
    if ids[1]:
        body |= {"removed_accumulator_id": ids[1], "removed_battery_charge": d % 100}
    if d % 10 < 4:
        body["reconcile"] = True
    sim.memory.registered |= {*ids} - {""}  # whoever is named in a report is known from then on
    request = backend.swap(body, _key(sim, d), len(sim.memory.swaps) - 1)
    _distrust(sim, request, {*ids})
    told = f"{told}: {sim.request(request, course)}"
    return f"{told}; again: {sim.request(request, Course())}" if c % 5 == 0 else told


def charge(sim: Simulation, _course: Course, numbers: tuple[int, int, int, int]) -> str:
    """Accumulators charge."""
    cabinet_id = _cabinet(sim, numbers[0])
    sim.world.act(cabinet_id, lambda hardware: hardware.charge(3600))
    return f"{cabinet_id} charges for an hour"


def operate(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """An operator does something."""
    return sim.request(_operation(sim, numbers), course)


def poll(sim: Simulation, course: Course, _numbers: tuple[int, int, int, int]) -> str:
    """The minute's timer fires."""
    return sim.poll(course)


def wait(sim: Simulation, _course: Course, numbers: tuple[int, int, int, int]) -> str:
    """Time passes; now and then much of it."""
    seconds = PAUSES_S[numbers[0] % (len(PAUSES_S) if numbers[1] % 8 == 0 else 5)]
    sim.clock.advance(seconds)
    sim.world.pass_time()
    return f"{seconds} s pass"


def lose_patience(sim: Simulation, course: Course, numbers: tuple[int, int, int, int]) -> str:
    """Nothing comes, and whoever waits gives up; or presses the button once more."""
    sim.clock.advance(16)
    sim.world.pass_time()
    told = [sim.resume(call) for call in list(sim.calls) if call.state == "waiting"]
    pressed = [r for r in sim.memory.requests if r.resource.endswith("/unlock") and not r.key]
    if pressed and numbers[0] % 2:
        told.append("again: " + sim.request(pressed[-1], course))
    return "; ".join(["16 s without an answer", *told])


def resume(sim: Simulation, _course: Course, numbers: tuple[int, int, int, int]) -> str | None:
    """A stopped call goes on."""
    if not sim.calls:
        return None
    return "on: " + sim.resume(sim.calls[numbers[0] % len(sim.calls)])


def flow(sim: Simulation, _course: Course, numbers: tuple[int, int, int, int]) -> str:
    """All goes well for a moment: what is on its way arrives, and calls go on."""
    told = []
    for cabinet_id in sim.world.units:
        while done := sim.world.obey(cabinet_id):
            told.append(f"{cabinet_id} reads {done}")
    if sim.network.inbox:
        told.append(sim.trigger(sim.network.take(0, 100), Course()))
    patient = numbers[0] % 3 == 0
    told += [sim.resume(c) for c in list(sim.calls) if patient or c.state != "paused"]
    return "; ".join(told) or NOTHING


def _operation(sim: Simulation, numbers: tuple[int, int, int, int]) -> Request:
    a, b, c, d = numbers
    cabinet_id, number = _cabinet(sim, a), 1 + b % sim.plan.cells
    match c % 8:
        case 0:
            return backend.change_cell(cabinet_id, number, {"health": "disabled", "reason": "x"})
        case 1 | 2:
            return backend.change_cell(cabinet_id, number, {"health": "ok", "reason": "looked"})
        case 3:
            status = "active" if d % 3 else "inactive"
            return backend.change_cabinet(cabinet_id, {"status": status})
        case 4:
            kind = ("unlock", "lock")[d % 2]
            body = {"kind": kind, "cells": [number], "reason": "by hand"}
            return backend.command(cabinet_id, body, _key(sim, d))
        case 5:
            body = {"kind": "report_state", "reason": "by hand"}
            return backend.command(cabinet_id, body, _key(sim, d))
        case _:
            return _correction(sim, a, d)


def _correction(sim: Simulation, a: int, d: int) -> Request:
    ids = sorted(sim.world.places())
    accumulator_id = ids[a % len(ids)]
    match d % 5:
        case 4:
            return backend.retire(accumulator_id)
        case 0:
            place: dict[str, object] = {"nowhere": True}
        case 1:
            place = {"contractor_id": _contractor(sim, d)}
        case 2:
            place = {"cabinet_id": _cabinet(sim, d), "cell_number": 1 + d % sim.plan.cells}
        case _:
            sim.memory.put_in_service.add(accumulator_id)
            body = {"status": "in_service", "reason": "looked"}
            return backend.correct(accumulator_id, body)
    return backend.correct(accumulator_id, {"place": place, "reason": "looked"})


def _distrust(sim: Simulation, request: backend.Request, ids: set[str]) -> None:
    """Without a key a cabinet's older words may come between two attempts: the second is news."""
    if not request.key and ids & sim.world.unsure:
        sim.memory.overtake(ids)


def _doubt(sim: Simulation, accumulator: Accumulator) -> None:
    """Words about it may still be on their way: nothing says whether they are older."""
    if sim.words_on_their_way(accumulator.accumulator_id):
        sim.world.unsure.add(accumulator.accumulator_id)


def _open_spots(sim: Simulation) -> list[Spot]:
    return [(c, n) for c in sim.world.units for n in sim.world.open_spots(c)]


def _opened_for(sim: Simulation, spot: Spot) -> str | None:
    """The contractor whose unlock opened this door."""
    opening = sim.world.open_by.get(spot)
    if opening is None or opening.command_id is None:
        return None
    rows = sim.database.query(
        """SELECT contractor_id FROM commands JOIN bookings USING (booking_id)
            WHERE commands.command_id::text = %(id)s""",
        id=opening.command_id,
    )
    return rows[0]["contractor_id"] if rows else None


def _can_be_known(sim: Simulation, spot: Spot, accumulator_id: str) -> bool:
    """What left is told by the cabinet's answer; without one it is taken for what was held.

    And a door that was broken open before is taken for the one that the command opens.
    """
    [command] = sim.database.query(
        """SELECT inferred, accumulator_id <> %(left)s AS other
             FROM commands LEFT JOIN booking_cells h
               ON h.booking_id = commands.booking_id AND h.cell_number = %(number)s
            WHERE command_id::text = %(id)s""",
        id=sim.world.open_by[spot].command_id,
        number=spot[1],
        left=accumulator_id,
    )
    if command["inferred"] and spot in sim.world.broken:
        return False
    return not (command["other"] and sim.world.units[spot[0]].mute)


def _cabinet(sim: Simulation, number: int) -> str:
    return f"C-{1 + number % sim.plan.cabinets}"


def _contractor(sim: Simulation, number: int) -> str:
    return sim.contractors[number % len(sim.contractors)]


def _key(sim: Simulation, number: int) -> str | None:
    return f"key-{len(sim.memory.requests)}" if number % 2 else None


STEPS = {
    book: 10,
    unlock: 12,
    cancel: 3,
    retry: 8,
    visit: 16,
    swap: 7,
    charge: 1,
    operate: 3,
    poll: 7,
    wait: 8,
    lose_patience: 5,
    resume: 12,
    flow: 14,
}
