"""Runs: set the scene, take the steps, let all come to rest, and see whether all is well."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from local.cabinet.cells import Accumulator, Cell
from shared import config, db
from shared.db import Row, Tx
from shared.repo import commands
from shared.services import dispatch
from tests.simulation import backend, cabinets, checks, faults, people, plan
from tests.simulation.calls import Course, current
from tests.simulation.clock import virtual_datetime
from tests.simulation.database import Database
from tests.simulation.memory import Violation
from tests.simulation.plan import Plan, Step
from tests.simulation.simulation import Simulation

_STEPS = {step.__name__: step for step in (people.STEPS | faults.STEPS | cabinets.STEPS)}
_WEIGHTS = {
    step.__name__: weight for step, weight in (people.STEPS | faults.STEPS | cabinets.STEPS).items()
}
_RARE = frozenset(step.__name__ for step in faults.STEPS | cabinets.STEPS) - {"deliver", "obey"}
_ROOT = f"{Path(__file__).parents[2]}/"


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    steps: int
    history: list[str]
    violation: Violation | None


def plan_of(seed: int) -> Plan:
    """The schedule of a seed."""
    return plan.make(seed, _WEIGHTS, _RARE)


def run(schedule: Plan, database: Database) -> Outcome:
    """One run from beginning to end."""
    with _simulated(schedule, database) as sim:
        taken = 0
        try:
            _prepare(sim)
            for taken, step in enumerate(schedule.steps, start=1):
                _take(sim, step, taken)
            _settle(sim)
            checks.when_quiet(sim)
        except Violation as violation:
            sim.history.note(f"VIOLATION {violation}")
            return Outcome(schedule, taken, sim.history.lines, violation)
        finally:
            _abandon(sim)
        return Outcome(schedule, taken, sim.history.lines, None)


def _take(sim: Simulation, step: Step, number: int) -> None:
    sim.history.begin(number, step.kind)
    told = _STEPS[step.kind](sim, step.course, step.numbers)
    if told is None:
        sim.history.drop()
        return
    sim.history.end(number, told)
    checks.after_step(sim)


def _prepare(sim: Simulation) -> None:
    """Cabinets that are partly full, scooters with an accumulator each; all known."""
    rng, calm = sim.world.rng, Course()
    sim.world.bags = {contractor: [] for contractor in sim.contractors}
    for c in range(1, sim.plan.cabinets + 1):
        cabinet_id = f"C-{c}"
        sim.request(backend.register_cabinet(cabinet_id, sim.plan.cells), calm)
        cells = [Cell(n) for n in range(1, sim.plan.cells + 1)]
        for cell in cells:
            if rng.random() < 0.6:
                one = Accumulator(f"A-{c}{cell.cell_number}", rng.choice((100, 97, 95, 90, 85, 50)))
                cell.accumulator = one
                if rng.random() < 0.1:
                    continue  # nobody has registered this one
                _register(sim, {"accumulator_id": one.accumulator_id})
        sim.world.add_cabinet(cabinet_id, cells)
        sim.world.power_up(cabinet_id, keep_outbox=False)
    for scooter in sim.scooters:
        one = Accumulator(f"B-{scooter[2:]}", 10)
        sim.world.scooters[scooter] = [one]
        _register(sim, {"accumulator_id": one.accumulator_id, "scooter_id": scooter})
        sim.world.claims[one.accumulator_id] = scooter
    for contractor in sim.contractors:
        one = Accumulator(f"D-{contractor[2:]}", 90)
        sim.world.bags[contractor].append(one)
        _register(sim, {"accumulator_id": one.accumulator_id, "contractor_id": contractor})
        sim.world.claims[one.accumulator_id] = contractor
    people.flow(sim, calm, (0, 0, 0, 0))
    sim.memory.requests.clear()


def _register(sim: Simulation, body: dict[str, object]) -> None:
    sim.memory.registered.add(str(body["accumulator_id"]))
    sim.request(backend.register(body), Course())


def _settle(sim: Simulation) -> None:
    """Heal everything, deliver everything, close the doors, report, and let time pass."""
    sim.history.note("all is healed")
    sim.network.mode, sim.database.up = "ok", True
    for call in sim.calls:
        call.let_be()
    for cabinet_id, unit in sim.world.units.items():
        hardware = unit.hardware
        unit.twice = unit.mute = False
        hardware.firmware = sim.world.firmware
        hardware.alarms.clear()
        for cell in hardware.cells.values():
            cell.senses, cell.lock, cell.fault, cell.disabled = {}, "ok", None, False
        if not unit.powered:
            sim.world.power_up(cabinet_id, keep_outbox=True)
        sim.world.reconnect(cabinet_id)
        sim.world.release(cabinet_id)
        sim.world.tell(cabinet_id)
    _flow(sim)
    for cabinet_id in sim.world.units:
        sim.request(backend.register_cabinet(cabinet_id, sim.plan.cells), Course())
        for number in sim.world.open_spots(cabinet_id):
            sim.world.close((cabinet_id, number))
    _flow(sim)
    for seconds in (61, 61, 700, 61, 1900, 61, 61):
        sim.clock.advance(seconds)
        sim.history.note(f"{seconds} s later: {sim.poll(Course())}")
        _flow(sim)


def _flow(sim: Simulation) -> None:
    """Until nothing is on its way and no call waits."""
    for _ in range(200):
        while sim.network.slow:
            faults.catch_up(sim, Course(), (0, 0, 0, 0))
        sim.clock.advance(21)
        sim.world.pass_time()
        told = people.flow(sim, Course(), (0, 0, 0, 0))
        if told != people.NOTHING:
            sim.history.note(told)
        checks.after_step(sim)
        later = any(unit.later for unit in sim.world.units.values())
        if sim.network.idle() and not sim.calls and not later:
            return
    raise Violation("all comes to rest", [call.name for call in sim.calls])


def _abandon(sim: Simulation) -> None:
    """End the calls that are left when a run ends early."""
    for call in sim.calls:
        if call.state != "done":
            call.done = sim.database.give_back
            call.kill()
    for link in sim.database.links:
        link.close()


@contextmanager
def _simulated(schedule: Plan, database: Database) -> Iterator[Simulation]:
    """The service stands on the simulation instead of a database, a broker and a clock."""
    sim = Simulation(schedule, database)

    class Publisher:
        publish = staticmethod(sim.network.publish)

    def wait(tx: Tx, command_id: UUID) -> Row | None:
        row = commands.get(tx, command_id)
        if row is None or row["status"] not in dispatch.UNSETTLED or row["seconds_left"] <= 0:
            return row
        current().reach("wait")
        current().stop("waiting")
        return commands.get(tx, command_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database.url)
        patch.setenv("BOOKING_SECONDS", "150")
        patch.setenv("RECONCILE_SECONDS", "300")
        config.settings.cache_clear()
        patch.setattr("shared.mqtt.Publisher", Publisher)
        patch.setattr(db, "_connected", database.connect)
        patch.setattr(dispatch, "datetime", virtual_datetime(sim.clock))
        patch.setattr(commands, "wait", wait)
        patch.setattr("shared.log.configure", lambda _level: None)
        logger = logging.getLogger("scooter_accumulator")
        patch.setattr(logger, "handlers", [_Catcher(sim.errors)])
        patch.setattr(logger, "propagate", False)
        patch.setattr(logger, "level", logging.ERROR)
        try:
            yield sim
        finally:
            config.settings.cache_clear()


class _Catcher(logging.Handler):
    """Keeps the errors that the service logs."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._errors.append(f"{record.getMessage()} {trace.replace(_ROOT, '')}")
