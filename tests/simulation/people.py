"""Random steps of backends, technicians, operators, the timer and the clock.

Each returns its line of the history, or None if it does nothing.
"""

from typing import Literal

from tests.simulation import backend
from tests.simulation.backend import Request
from tests.simulation.calls import Disruption
from tests.simulation.message_checks import is_too_late_to_credit
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation
from tests.simulation.world import CellId

NOTHING = "nothing is in flight"
PAUSES_S = (0.5, 3, 8, 16, 61, 200, 620, 1900)


def book(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """A backend creates a booking."""
    a, b, c, d = numbers
    body: dict[str, object] = {
        "cabinet_id": sim.cabinet_id(a),
        "contractor_id": sim.contractor(b),
        "kind": "issue" if c % 10 < 6 else "return",
        "count": 1 + d % 3 % (1 + sim.plan.cells // 2),
    }
    if c % 4 == 0:
        body["allow_partial"] = True
    key = key_of(sim, a + b)
    if key is not None and body["kind"] == "issue":
        sim.memory.keyed_bookings += 1
        # A unique value, which identifies the request in the database.
        body["min_charge"] = sim.memory.keyed_bookings
    return sim.request(backend.book(body, key), disruption)


def unlock(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A backend unlocks one of the three latest bookings."""
    known = sim.memory.bookings
    if not known:
        return None
    booking = known[-1 - numbers[0] % min(len(known), 3)]
    return sim.request(backend.unlock(booking.booking_id, key_of(sim, numbers[1])), disruption)


def cancel(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A backend cancels one of the three latest bookings."""
    known = sim.memory.bookings
    if not known:
        return None
    booking = known[-1 - numbers[0] % min(len(known), 3)]
    return sim.request(backend.cancel(booking.booking_id), disruption)


def retry(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A backend retries one of its last requests, whatever the response was."""
    requests = sim.memory.requests
    if numbers[1] % 2 and sim.memory.unanswered:
        requests = sim.memory.unanswered
    if not requests:
        return None
    request = requests[-1 - numbers[0] % min(len(requests), 6)]
    last = len(sim.memory.reports) - 1
    if request.report is not None and not request.key and request.report != last:
        return None  # without a key, an old report looks like a new one
    return "retry: " + sim.request(request, disruption)


def visit(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A technician takes or inserts an accumulator at an open door, and mostly closes it."""
    cell_ids = _open_cells(sim)
    return _visit(sim, cell_ids[numbers[0] % len(cell_ids)], numbers) if cell_ids else None


def pull(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """A technician pulls open a door that an unlock has failed to open, and uses the cell.

    If there is none, the unlock of a booking fails, or a backend creates a booking.
    """
    cell_ids = sim.world.loosened_cells()
    if not cell_ids:
        return _fail_to_open(sim, disruption, numbers) or book(sim, disruption, numbers)
    cell_id = cell_ids[numbers[0] % len(cell_ids)]
    sim.world.pull(cell_id)
    if numbers[2] % 4:
        sim.world.cabinets[cell_id.cabinet_id].hardware.cells[cell_id.number].lock = "ok"
    return f"{cell_id} is pulled open; {_visit(sim, cell_id, numbers)}"


def _fail_to_open(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A backend unlocks a booking; the locks of some of its cells are broken."""
    known = {booking.booking_id: booking for booking in sim.memory.bookings}
    held = sim.database.query(
        """SELECT booking_id::text AS booking_id, cell_number
             FROM booking_cells JOIN bookings USING (booking_id)
            WHERE NOT finished AND status = 'active' ORDER BY bookings.cabinet_id, cell_number"""
    )
    held = [row for row in held if row["booking_id"] in known]
    if not held:
        return None
    booking = known[held[numbers[0] % len(held)]["booking_id"]]
    numbers_held = [row["cell_number"] for row in held if row["booking_id"] == booking.booking_id]
    broken = numbers_held[: 1 + numbers[1] % len(numbers_held)]
    lock: Literal["stuck", "jammed"] = "stuck" if numbers[3] % 2 else "jammed"
    for number in broken:
        sim.world.cabinets[booking.cabinet_id].hardware.cells[number].lock = lock
    text = f"{booking.cabinet_id}: the locks of {broken} are {lock}"
    request = sim.request(backend.unlock(booking.booking_id, key_of(sim, numbers[2])), disruption)
    command = sim.world.execute_command(booking.cabinet_id)
    return f"{text}; {request}; {booking.cabinet_id} executes {command}"


def _visit(sim: Simulation, cell_id: CellId, numbers: Numbers) -> str:
    _, b, c, d = numbers
    owner = _opened_for(sim, cell_id)
    who = owner if owner and b % 8 else sim.contractor(b)
    actions = []
    inside = sim.world.content(cell_id)
    bag = sim.world.bags[who]
    if inside and c % 10 < 7:
        sim.world.take(cell_id, who)
        is_certain = cell_id not in sim.world.misreported and inside not in sim.world.uncertain
        known = who == owner and is_certain and _can_be_known(sim, cell_id, inside, who)
        sim.world.expected_places[inside] = who if known else None
        # A swap or a transfer may be recorded before or after the cabinet's messages.
        if sim.report_in_flight(inside):
            sim.world.uncertain.add(inside)
        actions.append(f"takes {inside}")
    elif not inside and bag and c % 10 < 7:
        one = bag[b % len(bag)]
        sim.world.put(cell_id, who, one)
        actions.append(f"inserts {one.accumulator_id}")
    if d % 10 < 8:
        sim.world.close(cell_id)
        actions.append("closes the door")
    return f"{who} at {cell_id}: {', '.join(actions) or 'nothing'}"


def charge(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A cabinet charges its accumulators for an hour."""
    cabinet_id = sim.cabinet_id(numbers[0])
    sim.world.act(cabinet_id, lambda hardware: hardware.charge(3600))
    return f"{cabinet_id} charges for an hour"


def operate(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """An operator changes a cell or cabinet, sends a command, or corrects an accumulator."""
    return sim.request(_operation(sim, numbers), disruption)


def inspect(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """An operator records the status of an accumulator, or retires it."""
    a, b, *_ = numbers
    ids = sorted(sim.world.places())
    accumulator_id = ids[a % len(ids)]
    status = ("in_service", "quarantined", "missing", "retired")[b % 4]
    if status == "retired":  # only possible where no place is recorded
        correction: dict[str, object] = {"place": {"nowhere": True}, "reason": "inspected"}
        requests = [backend.correct(accumulator_id, correction), backend.retire(accumulator_id)]
        return "; ".join(sim.request(request, disruption) for request in requests)
    if status == "in_service":
        sim.memory.put_in_service.add(accumulator_id)
    change: dict[str, object] = {"status": status, "reason": "inspected"}
    return sim.request(backend.correct(accumulator_id, change), disruption)


def poll(sim: Simulation, disruption: Disruption, _numbers: Numbers) -> str:
    """The timer calls its function."""
    return sim.poll(disruption)


def wait(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """Time passes, sometimes half an hour."""
    seconds = PAUSES_S[numbers[0] % (len(PAUSES_S) if numbers[1] % 8 == 0 else 5)]
    sim.clock.advance(seconds)
    sim.world.pass_time()
    return f"{seconds} s pass"


def time_out(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """16 s pass: waiting calls time out, and the last unlock may be retried."""
    sim.clock.advance(16)
    sim.world.pass_time()
    lines = [sim.resume(call) for call in list(sim.calls) if call.state == "waiting"]
    unlocks = [r for r in sim.memory.requests if r.resource.endswith("/unlock") and not r.key]
    if unlocks and numbers[0] % 2:
        lines.append("retry: " + sim.request(unlocks[-1], disruption))
    return "; ".join(["16 s pass", *lines])


def resume(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A stopped call resumes."""
    if not sim.calls:
        return None
    return "resumed: " + sim.resume(sim.calls[numbers[0] % len(sim.calls)])


def drain(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """Cabinets execute all commands, all events are delivered, and calls resume."""
    lines = []
    for cabinet_id in sim.world.cabinets:
        while command := sim.world.execute_command(cabinet_id):
            lines.append(f"{cabinet_id} executes {command}")
    if sim.network.inbox:
        lines.append(sim.trigger(sim.network.take_batch(0, 100), Disruption()))
    resumes_paused = numbers[0] % 3 == 0
    lines += [sim.resume(c) for c in list(sim.calls) if resumes_paused or c.state != "paused"]
    return "; ".join(lines) or NOTHING


def _operation(sim: Simulation, numbers: Numbers) -> Request:
    a, b, c, d = numbers
    cabinet_id, number = sim.cabinet_id(a), 1 + b % sim.plan.cells
    match c % 8:
        case 0:
            return backend.change_cell(
                cabinet_id, number, {"health": "disabled", "reason": "stuck"}
            )
        case 1 | 2:
            return backend.change_cell(cabinet_id, number, {"health": "ok", "reason": "checked"})
        case 3:
            status = "active" if d % 3 else "inactive"
            return backend.change_cabinet(cabinet_id, {"status": status})
        case 4:
            kind = ("unlock", "lock")[d % 2]
            body = {"kind": kind, "cells": [number], "reason": "by hand"}
            if kind == "unlock" and d // 4 % 3:
                body["contractor_id"] = sim.contractor(d)
            return backend.command(cabinet_id, body, key_of(sim, d))
        case 5:
            body = {"kind": "report_state", "reason": "by hand"}
            return backend.command(cabinet_id, body, key_of(sim, d))
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
            place = {"contractor_id": sim.contractor(d)}
        case 2:
            place = {"cabinet_id": sim.cabinet_id(d), "cell_number": 1 + d % sim.plan.cells}
        case _:
            sim.memory.put_in_service.add(accumulator_id)
            body = {"status": "in_service", "reason": "checked"}
            return backend.correct(accumulator_id, body)
    return backend.correct(accumulator_id, {"place": place, "reason": "checked"})


def _open_cells(sim: Simulation) -> list[CellId]:
    return [CellId(c, n) for c in sim.world.cabinets for n in sim.world.open_cells(c)]


def _opened_for(sim: Simulation, cell_id: CellId) -> str | None:
    """Return the contractor whose unlock opened this door."""
    opening = sim.world.open_by.get(cell_id)
    if opening is None or opening.command_id is None:
        return None
    rows = sim.database.query(
        """SELECT coalesce(commands.contractor_id, bookings.contractor_id) AS contractor_id
             FROM commands LEFT JOIN bookings USING (booking_id)
            WHERE commands.command_id::text = %(id)s""",
        id=opening.command_id,
    )
    return rows[0]["contractor_id"] if rows else None


def _can_be_known(sim: Simulation, cell_id: CellId, accumulator_id: str, contractor: str) -> bool:
    """Whether the service can know which accumulator left the cell.

    The cabinet's reply names it. Without a reply, the service assumes that the held accumulator
    left, and that the command opened the door even if it was forced before. If the cabinet's
    numbering is broken, the service may have missed how it came into the cell.
    """
    [command] = sim.database.query(
        """SELECT inferred, result = '[]' AS has_no_result,
                  h.accumulator_id <> %(left)s AS other,
                  coalesce(a.cabinet_id || '/' || a.cell_number, a.contractor_id) AS place
             FROM commands LEFT JOIN booking_cells h
               ON h.booking_id = commands.booking_id AND h.cell_number = %(number)s
             LEFT JOIN accumulators a ON a.accumulator_id = %(left)s
            WHERE command_id::text = %(id)s""",
        id=sim.world.open_by[cell_id].command_id,
        number=cell_id.number,
        left=accumulator_id,
    )
    if command["inferred"] and cell_id in sim.world.forced:
        return False
    command_id = sim.world.open_by[cell_id].command_id or ""
    was_pulled = (command_id, cell_id) in sim.world.pulled
    cabinet = sim.world.cabinets[cell_id.cabinet_id]
    if was_pulled and command["has_no_result"] and (cabinet.holding or cabinet.mute):
        return False  # a report may have seemed to prove that the command was not executed
    if was_pulled and is_too_late_to_credit(sim, command_id, cell_id):
        return False
    is_misnumbered = cell_id.cabinet_id in sim.world.misnumbered
    if is_misnumbered and command["place"] not in {str(cell_id), contractor}:
        return False
    return not (command["other"] and cabinet.mute)


def key_of(sim: Simulation, number: int) -> str | None:
    """Return a new idempotency key for half of the numbers."""
    return f"key-{len(sim.memory.requests)}" if number % 2 else None


STEPS = {
    book: 10,
    unlock: 12,
    cancel: 3,
    retry: 8,
    visit: 16,
    pull: 10,
    charge: 1,
    operate: 3,
    inspect: 2,
    poll: 7,
    wait: 8,
    time_out: 5,
    resume: 12,
    drain: 14,
}
