"""Random steps: faults of cabinets, of their firmware and at their doors.

Each returns its line of the history, or None if it does nothing.
"""

from dataclasses import replace
from typing import Any

from local.cabinet.cells import Accumulator
from local.cabinet.hardware import Hardware
from tests.simulation import backend
from tests.simulation.calls import Disruption
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation
from tests.simulation.world import Cabinet, CellId

_NEARLY_WRAPPED = 65_520
"""A seq of 16 bits wraps soon after."""


def cycle_power(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A cabinet reboots, or stays without power until a later step."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    if cabinet.powered and numbers[1] % 3 == 0:
        cabinet.powered = False
        sim.network.cut(cabinet_id)
        return f"{cabinet_id} loses power"
    sim.world.power_up(cabinet_id, keep_outbox=numbers[2] % 2 == 0)
    return f"{cabinet_id} powers up"


def change_replies(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A cabinet holds its replies back, releases them, sends them twice, or sends none."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    match numbers[1] % 5:
        case 0:
            cabinet.holding = True
            return f"{cabinet_id} holds its replies back"
        case 1:
            cabinet.twice = not cabinet.twice
            return f"{cabinet_id} replies {'twice' if cabinet.twice else 'once'}"
        case 2:
            cabinet.mute = not cabinet.mute
            return f"{cabinet_id} replies {'never' if cabinet.mute else 'again'}"
        case _:
            return f"{cabinet_id} releases {sim.world.release(cabinet_id)} replies"


def send_report(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A cabinet sends a state report that nobody asked for."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    if not cabinet.powered:
        return None
    sim.world.send(cabinet_id, cabinet.hardware.state_report())
    return f"{cabinet_id} sends a report"


def break_cell(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A lock jams or sticks, a cell reports a fault or is switched off, or a cell is repaired."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    cell = cabinet.hardware.cells[1 + numbers[1] % sim.plan.cells]
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
    sim.world.send_sensor_events(cabinet_id)
    return (
        f"{cabinet_id}/{cell.cell_number}: lock {cell.lock}, fault {cell.fault},"
        f" {'off' if cell.disabled else 'on'}"
    )


def break_sensor(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A sensor reports a wrong value, or is repaired."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    cell = cabinet.hardware.cells[1 + numbers[1] % sim.plan.cells]
    wrong_values: tuple[dict[str, object], ...] = (
        {"accumulator_id": None},
        {"accumulator_id": "?"},
        {"door": "open"},
        {"door": "closed"},
        {"door": "unknown"},
        {"battery_charge": 255},
        {"accumulator_id": "not an id"},
    )
    cell.senses = {} if cell.senses else wrong_values[numbers[2] % len(wrong_values)]
    sim.world.misreported.add(CellId(cabinet_id, cell.cell_number))
    sim.world.send_sensor_events(cabinet_id)
    return f"{cabinet_id}/{cell.cell_number}: the sensors report {cell.senses or 'the truth'}"


def change_firmware(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """Firmware opens the wrong cell, reports a wrong result, omits a cell, or refuses commands."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    one = 1 + numbers[1] % sim.plan.cells
    other = 1 + numbers[2] % sim.plan.cells
    correct = cabinet.firmware
    match numbers[3] % 7:
        case 0:
            cabinet.hardware.firmware = replace(correct, substitutes={one: other})
            sim.world.misreported |= {CellId(cabinet_id, one), CellId(cabinet_id, other)}
            text = f"opens {other} for {one}"
        case 1:
            cabinet.hardware.firmware = replace(
                correct, claims={one: ("opened", "jammed", None)[one % 3]}
            )
            sim.world.misreported.add(CellId(cabinet_id, one))
            text = f"reports of {one}: {('opened', 'jammed', None)[one % 3]}"
        case 2:
            cabinet.hardware.firmware = replace(correct, omits=frozenset({one}))
            text = f"omits {one}"
        case 3:
            cabinet.hardware.firmware = replace(correct, refuses="busy")
            text = "refuses commands"
        case _:
            cabinet.hardware.firmware = correct
            text = "works correctly"
    return f"firmware of {cabinet_id}: {text}"


def update_firmware(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """Firmware that numbers its messages or answers commands in its own way, until the end."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    hardware, before = cabinet.hardware, cabinet.firmware
    changes: tuple[dict[str, Any], ...] = (
        {"numbering": "restarts"},
        {"numbering": "wraps"},
        {"numbering": "stands_still"},
        {"answers": "parts"},
        {"answers": "report"},
        {"corrects": True},
        {"corrects": not before.corrects, "answers": "parts"},
        {"numbering": "counts", "answers": "result", "corrects": False},
    )
    changed = replace(before, **changes[numbers[1] % len(changes)])
    cabinet.firmware = hardware.firmware = changed
    if changed.numbering == "restarts" and cabinet.powered:
        sim.world.power_up(cabinet_id, keep_outbox=True)
    if changed.numbering == "wraps" and hardware.seq < _NEARLY_WRAPPED:
        hardware.seq = _NEARLY_WRAPPED + numbers[2] % 10
    if changed.numbering != "counts":
        sim.world.misnumbered.add(cabinet_id)
    corrects = " and corrections" if changed.corrects else ""
    return f"firmware of {cabinet_id}: seq {changed.numbering}, by {changed.answers}{corrects}"


def send_malformed(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A cabinet sends a payload that cannot be decoded."""
    cabinet_id = sim.cabinet_id(numbers[0])
    sim.network.enqueue(cabinet_id, (b"", b"{", b'{"v":1}', b"\xff\xfe")[numbers[2] % 4])
    return f"{cabinet_id} sends a malformed message"


def report_foreign_result(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A cabinet reports the result of a command of another cabinet, or of an unknown command."""
    cabinet_id, cabinet = _cabinet(sim, numbers)
    others = [sent for sent in sim.memory.sent_unlocks if sent.cabinet_id != cabinet_id]
    if not cabinet.powered:
        return None
    command_id = "00000000-0000-4000-8000-000000000000"
    cells = [{"cell_number": 1, "result": "opened"}]
    if others:
        command_id = others[-1].command_id
        cells = [{"cell_number": n, "result": "opened"} for n in others[-1].contents]
    result = {"command_id": command_id, "status": "done", "cells": cells}
    sim.world.send(cabinet_id, cabinet.hardware._message("command_result", **result))
    return f"{cabinet_id} sends a result of the foreign command {command_id}"


def invent_result(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A cabinet invents the result of an unlock that it may never have received.

    It prefers commands for which the service expects no result. The last number chooses the
    result: all cells opened, one opened, none opened, or rejected.
    """
    cabinet_id, cabinet = _cabinet(sim, numbers)
    rows = sim.database.query(
        """SELECT command_id::text AS command_id, payload -> 'cells' AS cells FROM commands
            WHERE cabinet_id = %(cabinet_id)s AND kind = 'unlock'
            ORDER BY status IN ('pending', 'not_published', 'not_executed', 'unresolved') DESC,
                     created_at DESC, command_id
            LIMIT 3""",
        cabinet_id=cabinet_id,
    )
    if not rows or not cabinet.powered:
        return None
    command = rows[numbers[1] % len(rows)]
    status = "rejected" if numbers[3] % 4 == 3 else "done"
    opened = (len(command["cells"]), 1, 0, 0)[numbers[3] % 4]
    cells = [
        {"cell_number": number, "result": "opened" if at < opened else "jammed"}
        for at, number in enumerate(command["cells"])
    ]
    sim.world.misreported |= {CellId(cabinet_id, number) for number in command["cells"]}
    sim.memory.with_invented_result.add(command["command_id"])
    result = {"command_id": command["command_id"], "status": status, "cells": cells}
    sim.world.send(cabinet_id, cabinet.hardware._message("command_result", **result))
    text = "rejected" if status == "rejected" else f"{opened} of {len(cells)} opened"
    return f"{cabinet_id} invents the result of {command['command_id']}: {text}"


def pry(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """Somebody forces a closed door open."""
    cell_ids = [
        CellId(cabinet_id, number)
        for cabinet_id, cabinet in sim.world.cabinets.items()
        for number, cell in cabinet.hardware.cells.items()
        if cell.door == "closed"
    ]
    if not cell_ids:
        return None
    cell_id = cell_ids[numbers[0] % len(cell_ids)]
    sim.world.pry(cell_id)
    return f"somebody forces {cell_id} open"


def find_unregistered(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A technician receives an accumulator that nobody has registered."""
    who = sim.contractor(numbers[0])
    one = Accumulator(f"X-{len(sim.world.places()) + 1}", 95)
    sim.world.bags[who].append(one)
    sim.world.expected_places[one.accumulator_id] = None
    return f"{who} finds the unregistered {one.accumulator_id}"


def find_duplicate(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A technician receives an accumulator with the id of another one."""
    who = sim.contractor(numbers[0])
    ids = sorted(sim.world.places())
    one = Accumulator(ids[numbers[1] % len(ids)], 95)
    sim.world.bags[who].append(one)
    sim.world.duplicated_ids.add(one.accumulator_id)
    return f"{who} finds another {one.accumulator_id}"


def remove_cabinet(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str:
    """An operator removes a cabinet, or registers it again."""
    cabinet_id = sim.cabinet_id(numbers[0])
    if numbers[1] % 3 == 0:
        return sim.request(backend.register_cabinet(cabinet_id, sim.plan.cells), disruption)
    return sim.request(backend.remove_cabinet(cabinet_id), disruption)


def alarm(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A cabinet raises a smoke alarm, or ends it."""
    cabinet_id = sim.cabinet_id(numbers[0])

    def toggle(hardware: Hardware) -> None:
        hardware.alarms = set() if hardware.alarms else {"smoke"}

    sim.world.act(cabinet_id, toggle)
    return f"{cabinet_id}: alarms {sorted(sim.world.cabinets[cabinet_id].hardware.alarms)}"


def _cabinet(sim: Simulation, numbers: Numbers) -> tuple[str, Cabinet]:
    cabinet_id = sim.cabinet_id(numbers[0])
    return cabinet_id, sim.world.cabinets[cabinet_id]


STEPS = {
    cycle_power: 3,
    change_replies: 7,
    send_report: 4,
    break_cell: 3,
    break_sensor: 3,
    change_firmware: 3,
    update_firmware: 5,
    send_malformed: 1,
    report_foreign_result: 2,
    invent_result: 1,
    pry: 2,
    find_unregistered: 1,
    find_duplicate: 1,
    remove_cabinet: 2,
    alarm: 1,
}
