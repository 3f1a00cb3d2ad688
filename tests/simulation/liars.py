"""Random steps: a cabinet lies about what others hold, and an operator answers.

Each returns its line of the history, or None if it does nothing.
"""

from tests.simulation import backend
from tests.simulation.calls import Disruption
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation
from tests.simulation.world import CellId


def lie(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A cabinet reports accumulators in its cells that others hold."""
    cabinet_id = sim.cabinet_id(numbers[0])
    cabinet, places = sim.world.cabinets[cabinet_id], sim.world.places()
    others = sorted(id_ for id_, at in places.items() if not at.startswith(f"{cabinet_id}/"))
    if not cabinet.powered or not others:
        return None
    report = cabinet.hardware.state_report()
    claimed = {}
    for n, state in enumerate(report["cells"][: 1 + numbers[1] % sim.plan.cells]):
        id_ = others[(numbers[2] + n * (1 + numbers[3] % 3)) % len(others)]
        claimed[state["cell_number"]] = id_
        state |= {"accumulator_id": id_, "door": "closed", "battery_charge": 95}
    sim.world.lies.setdefault(cabinet_id, set()).update(claimed.values())
    sim.world.misreported |= {CellId(cabinet_id, n) for n in cabinet.hardware.cells}
    for id_ in claimed.values():
        sim._note_correction(id_)  # the records may become wrong
        at, _, number = places[id_].partition("/")
        if number:
            sim.world.misreported.add(CellId(at, int(number)))
    sim.world.send(cabinet_id, report)
    return f"{cabinet_id} lies: {claimed}"


def answer_suspicion(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """An operator clears a suspect cabinet, or undoes what a cabinet has claimed."""
    cabinet_id = sim.cabinet_id(numbers[0])
    if cabinet_id not in sim.world.lies:
        return None
    if numbers[1] % 2:
        return sim.request(backend.undo_claims(cabinet_id), disruption)
    sim.memory.cleared.add(cabinet_id)
    return sim.request(backend.clear(cabinet_id), disruption)


STEPS = {lie: 3, answer_suspicion: 1}
