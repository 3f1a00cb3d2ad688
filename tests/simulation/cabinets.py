"""What goes wrong in cabinets and at their doors."""

from dataclasses import replace

from local.cabinet.cells import Accumulator
from local.cabinet.hardware import Hardware
from tests.simulation import backend
from tests.simulation.calls import Course
from tests.simulation.simulation import Simulation
from tests.simulation.world import Spot, Unit

Numbers = tuple[int, int, int, int]


def power(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A cabinet reboots, or loses power for a while."""
    cabinet_id, unit = _unit(sim, numbers)
    if unit.powered and numbers[1] % 3 == 0:
        unit.powered = False
        sim.network.cut(cabinet_id)
        return f"{cabinet_id} loses power"
    sim.world.power_up(cabinet_id, keep_outbox=numbers[2] % 2 == 0)
    return f"{cabinet_id} powers up"


def answering(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A cabinet keeps its answers back, gives them late, twice, or never."""
    cabinet_id, unit = _unit(sim, numbers)
    match numbers[1] % 5:
        case 0:
            unit.holding = True
            return f"{cabinet_id} keeps answers back"
        case 1:
            unit.twice = not unit.twice
            return f"{cabinet_id} answers {'twice' if unit.twice else 'once'}"
        case 2:
            unit.mute = not unit.mute
            return f"{cabinet_id} answers {'never' if unit.mute else 'again'}"
        case _:
            return f"{cabinet_id} releases {sim.world.release(cabinet_id)} answers"


def report(sim: Simulation, _course: Course, numbers: Numbers) -> str | None:
    """A cabinet reports unasked."""
    cabinet_id, unit = _unit(sim, numbers)
    if not unit.powered:
        return None
    sim.world.say(cabinet_id, unit.hardware.state_report())
    return f"{cabinet_id} reports"


def jam(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A lock jams, sticks, or is mended; a cell reports a fault, or none any more."""
    cabinet_id, unit = _unit(sim, numbers)
    cell = unit.hardware.cells[1 + numbers[1] % sim.plan.cells]
    match numbers[2] % 6:
        case 0:
            cell.lock = "jammed"
        case 1:
            cell.lock = "stuck"
        case 2:
            cell.fault = "lock"
        case 3:
            cell.disabled = True
        case _:
            cell.lock, cell.fault, cell.disabled = "ok", None, False
    sim.world.tell(cabinet_id)
    return (
        f"{cabinet_id}/{cell.cell_number}: lock {cell.lock}, fault {cell.fault},"
        f" {'off' if cell.disabled else 'on'}"
    )


def sense(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A sensor says what is not true, or is mended."""
    cabinet_id, unit = _unit(sim, numbers)
    cell = unit.hardware.cells[1 + numbers[1] % sim.plan.cells]
    lies: tuple[dict[str, object], ...] = (
        {"accumulator_id": None},
        {"accumulator_id": "?"},
        {"door": "open"},
        {"door": "closed"},
        {"door": "unknown"},
        {"battery_charge": 255},
        {"accumulator_id": "not an id"},
    )
    cell.senses = {} if cell.senses else lies[numbers[2] % len(lies)]
    sim.world.liars.add((cabinet_id, cell.cell_number))
    sim.world.tell(cabinet_id)
    return f"{cabinet_id}/{cell.cell_number} senses {cell.senses or 'the truth'}"


def misreport(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """Firmware opens another cell than asked, claims what is not so, or leaves cells out."""
    cabinet_id, unit = _unit(sim, numbers)
    one = 1 + numbers[1] % sim.plan.cells
    other = 1 + numbers[2] % sim.plan.cells
    honest = sim.world.firmware
    match numbers[3] % 7:
        case 0:
            unit.hardware.firmware = replace(honest, substitutes={one: other})
            sim.world.liars |= {(cabinet_id, one), (cabinet_id, other)}
            told = f"opens {other} for {one}"
        case 1:
            unit.hardware.firmware = replace(
                honest, claims={one: ("opened", "jammed", None)[one % 3]}
            )
            sim.world.liars.add((cabinet_id, one))
            told = f"claims of {one} {('opened', 'jammed', None)[one % 3]}"
        case 2:
            unit.hardware.firmware = replace(honest, omits=frozenset({one}))
            told = f"omits {one}"
        case 3:
            unit.hardware.firmware = replace(honest, refuses="busy")
            told = "refuses"
        case _:
            unit.hardware.firmware = honest
            told = "is honest"
    return f"{cabinet_id} {told}"


def garbage(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A cabinet says something that cannot be read."""
    cabinet_id, _ = _unit(sim, numbers)
    sim.network.say(cabinet_id, (b"", b"{", b'{"v":1}', b"\xff\xfe")[numbers[2] % 4])
    return f"{cabinet_id} says garbage"


def forge(sim: Simulation, _course: Course, numbers: Numbers) -> str | None:
    """A cabinet answers a command that another cabinet was sent, or nobody."""
    cabinet_id, unit = _unit(sim, numbers)
    others = [sent for sent in sim.memory.sent if sent.cabinet_id != cabinet_id]
    if not unit.powered:
        return None
    command_id = "00000000-0000-4000-8000-000000000000"
    cells = [{"cell_number": 1, "result": "opened"}]
    if others:
        command_id = others[-1].command_id
        cells = [{"cell_number": n, "result": "opened"} for n in others[-1].contents]
    answer = {"command_id": command_id, "status": "done", "cells": cells}
    sim.world.say(cabinet_id, unit.hardware._message("command_result", **answer))
    return f"{cabinet_id} answers a stranger's command {command_id}"


def pry(sim: Simulation, _course: Course, numbers: Numbers) -> str | None:
    """Somebody breaks a door open."""
    spots: list[Spot] = [
        (cabinet_id, number)
        for cabinet_id, unit in sim.world.units.items()
        for number, cell in unit.hardware.cells.items()
        if cell.door == "closed"
    ]
    if not spots:
        return None
    spot = spots[numbers[0] % len(spots)]
    sim.world.pry(spot)
    return f"somebody breaks {spot[0]}/{spot[1]} open"


def stranger(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A technician finds an accumulator that nobody has registered."""
    who = sim.contractors[numbers[0] % len(sim.contractors)]
    one = Accumulator(f"X-{len(sim.world.places()) + 1}", 95)
    sim.world.bags[who].append(one)
    sim.world.claims[one.accumulator_id] = None
    return f"{who} finds {one.accumulator_id}"


def twin(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A technician has an accumulator with the id of another one."""
    who = sim.contractors[numbers[0] % len(sim.contractors)]
    ids = sorted(sim.world.places())
    one = Accumulator(ids[numbers[1] % len(ids)], 95)
    sim.world.bags[who].append(one)
    sim.world.twins.add(one.accumulator_id)
    return f"{who} has another {one.accumulator_id}"


def remove(sim: Simulation, course: Course, numbers: Numbers) -> str:
    """An operator forgets a cabinet that is there, or makes it known again."""
    cabinet_id, _ = _unit(sim, numbers)
    again = numbers[1] % 3 == 0
    return sim.request(
        backend.register_cabinet(cabinet_id, sim.plan.cells)
        if again
        else backend.remove_cabinet(cabinet_id),
        course,
    )


def alarm(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A cabinet smells smoke, or no more."""
    cabinet_id, _ = _unit(sim, numbers)

    def ring(hardware: Hardware) -> None:
        hardware.alarms = set() if hardware.alarms else {"smoke"}

    sim.world.act(cabinet_id, ring)
    return f"{cabinet_id}: alarms {sorted(sim.world.units[cabinet_id].hardware.alarms)}"


def _unit(sim: Simulation, numbers: Numbers) -> tuple[str, Unit]:
    cabinet_id = f"C-{1 + numbers[0] % sim.plan.cabinets}"
    return cabinet_id, sim.world.units[cabinet_id]


STEPS = {
    power: 3,
    answering: 7,
    report: 4,
    jam: 3,
    sense: 3,
    misreport: 3,
    garbage: 1,
    forge: 2,
    pry: 2,
    stranger: 1,
    twin: 1,
    remove: 2,
    alarm: 1,
}
