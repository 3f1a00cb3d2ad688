"""One run: prepare the world, take the steps, let everything come to rest, check the rules."""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from local.cabinet.cells import Accumulator, Cell
from shared import config, db
from shared.services import dispatch
from tests.simulation import (
    backend,
    cabinets,
    carriers,
    checks,
    faults,
    fleet,
    liars,
    people,
    plan,
    without_waiting,
)
from tests.simulation.caller_checks import check_callers
from tests.simulation.calls import Disruption, current
from tests.simulation.clock import virtual_datetime
from tests.simulation.database import Database
from tests.simulation.feed_checks import check_feed
from tests.simulation.memory import CLAIMS_PER_HOUR, MAX_BOOTS, Violation
from tests.simulation.plan import Plan, Step
from tests.simulation.simulation import Simulation
from tests.simulation.transitions import Coverage, count_moves
from tests.simulation.world import CellId

_ALL = (
    people.STEPS
    | carriers.STEPS
    | without_waiting.STEPS
    | fleet.STEPS
    | faults.STEPS
    | cabinets.STEPS
    | liars.STEPS
)
_STEPS = {step.__name__: step for step in _ALL}
_WEIGHTS = {step.__name__: weight for step, weight in _ALL.items()}
_COMMON = {"deliver", "execute_command"}
_MAY_BE_RARE = (people.pull, *fleet.STEPS, *faults.STEPS, *cabinets.STEPS, *liars.STEPS)
_RARE = frozenset(step.__name__ for step in _MAY_BE_RARE) - _COMMON
_ROOT = f"{Path(__file__).parents[2]}/"


@dataclass(frozen=True)
class Result:
    """The result of a run; `steps` is the number of steps taken."""

    plan: Plan
    steps: int
    history: list[str]
    violation: Violation | None
    coverage: Coverage


def plan_of(seed: int) -> Plan:
    """Return the plan of a seed."""
    return plan.make(seed, _WEIGHTS, _RARE)


def run(schedule: Plan, database: Database) -> Result:
    """Run a plan from beginning to end."""
    with _simulated(schedule, database) as sim:
        taken = 0
        try:
            _prepare(sim)
            for taken, step in enumerate(schedule.steps, start=1):
                _take_step(sim, step, taken)
            _come_to_rest(sim)
            checks.at_rest(sim)
            checks.after_run(sim)
            check_feed(sim)
            check_callers(sim)
        except Violation as violation:
            sim.history.note(f"VIOLATION {violation}")
            return _result(sim, taken, violation)
        finally:
            _kill_calls(sim)
        return _result(sim, taken, None)


def _result(sim: Simulation, steps: int, violation: Violation | None) -> Result:
    coverage = Coverage(sim.database.changes(), sim.moved)
    return Result(sim.plan, steps, sim.history.lines, violation, coverage)


def _take_step(sim: Simulation, step: Step, number: int) -> None:
    sim.history.begin(number, step.kind)
    text = _STEPS[step.kind](sim, step.disruption, step.numbers)
    if text is None:
        sim.history.drop()
        return
    sim.history.end(number, text)
    checks.after_step(sim)


def _prepare(sim: Simulation) -> None:
    """Register cabinets that are partly full, and scooters and bags with an accumulator each."""
    rng, undisturbed = sim.world.rng, Disruption()
    sim.world.bags = {carrier: [] for carrier in sim.carriers}
    for c in range(1, sim.plan.cabinets + 1):
        cabinet_id = f"C-{c}"
        sim.request(backend.register_cabinet(cabinet_id, sim.plan.cells), undisturbed)
        cells = [Cell(n) for n in range(1, sim.plan.cells + 1)]
        for cell in cells:
            if rng.random() < 0.6:
                one = Accumulator(
                    f"A-{c}{cell.cell_number}",
                    rng.choice((100, 97, 95, 90, 85, 50)),
                    lower_case=cell.cell_number % 2 == 0,
                )
                cell.accumulator = one
                if rng.random() < 0.1:
                    continue  # not registered
                _register(sim, {"accumulator_id": one.accumulator_id})
        sim.world.add_cabinet(cabinet_id, cells)
        sim.world.power_up(cabinet_id, keep_outbox=False)
    for scooter in sim.scooters:
        one = Accumulator(f"B-{scooter[2:]}", 10)
        sim.world.scooters[scooter] = [one]
        _register(sim, {"accumulator_id": one.accumulator_id, "scooter_id": scooter})
        sim.world.expected_places[one.accumulator_id] = scooter
    for contractor in sim.contractors:
        one = Accumulator(f"D-{contractor[2:]}", 90)
        sim.world.bags[contractor].append(one)
        _register(sim, {"accumulator_id": one.accumulator_id, "contractor_id": contractor})
        sim.world.expected_places[one.accumulator_id] = contractor
    people.drain(sim, undisturbed, (0, 0, 0, 0))
    sim.memory.requests.clear()


def _register(sim: Simulation, body: dict[str, object]) -> None:
    sim.memory.registered.add(str(body["accumulator_id"]))
    sim.request(backend.register(body), Disruption())


def _come_to_rest(sim: Simulation) -> None:
    """End all faults, deliver everything, close the doors, report, and let time pass."""
    sim.history.note("all faults end")
    sim.network.mode, sim.database.up = "ok", True
    for call in sim.calls:
        call.clear_disruption()
    for cabinet_id, cabinet in sim.world.cabinets.items():
        hardware = cabinet.hardware
        cabinet.twice = cabinet.mute = False
        hardware.firmware = cabinet.firmware
        hardware.alarms.clear()
        for cell in hardware.cells.values():
            cell.senses, cell.lock, cell.fault, cell.disabled = {}, "ok", None, False
        if not cabinet.powered:
            sim.world.power_up(cabinet_id, keep_outbox=True)
        sim.world.reconnect(cabinet_id)
        sim.world.release(cabinet_id)
        sim.world.send_sensor_events(cabinet_id)
    _drain(sim)
    for cabinet_id in sim.world.cabinets:
        sim.request(backend.register_cabinet(cabinet_id, sim.plan.cells), Disruption())
        for number in sim.world.open_cells(cabinet_id):
            sim.world.close(CellId(cabinet_id, number))
    _drain(sim)
    for seconds in (61, 61, 700, 61, 1900, 61, 61):
        _clear_suspects(sim)
        sim.clock.advance(seconds)
        sim.history.note(f"{seconds} s later: {sim.poll(Disruption())}")
        _drain(sim)


def _clear_suspects(sim: Simulation) -> None:
    """The cabinets that lied are repaired, and an operator clears them."""
    sql = "SELECT cabinet_id FROM cabinets WHERE suspect_since IS NOT NULL ORDER BY cabinet_id"
    for row in sim.database.query(sql):
        sim.memory.cleared.add(row["cabinet_id"])
        sim.history.note(sim.request(backend.clear(row["cabinet_id"]), Disruption()))


def _drain(sim: Simulation) -> None:
    """Let calls and messages proceed until none is left."""
    for _ in range(200):
        while sim.network.publish_will():
            pass
        while sim.network.slow:
            faults.handle_slow_command(sim, Disruption(), (0, 0, 0, 0))
        sim.clock.advance(21)
        sim.world.pass_time()
        text = people.drain(sim, Disruption(), (0, 0, 0, 0))
        if text != people.NOTHING:
            sim.history.note(text)
        checks.after_step(sim)
        is_delayed = any(cabinet.later for cabinet in sim.world.cabinets.values())
        if sim.network.idle() and not sim.calls and not is_delayed:
            return
    raise Violation("everything comes to rest", [call.name for call in sim.calls])


def _kill_calls(sim: Simulation) -> None:
    """Kill the calls that are left when a run ends early."""
    for call in sim.calls:
        if call.state != "done":
            call.on_end = sim.database.release_connections
            call.kill()
    for connection in sim.database.connections:
        connection.close()


@contextmanager
def wakeups(_command_id: UUID) -> Iterator[Callable[[float], None]]:
    """Replace `shared.mqtt.Publisher.wakeups`: the plan decides when a waiting call continues."""

    def wait(_seconds: float) -> None:
        current().reach("wait")
        current().stop("waiting")

    yield wait


@contextmanager
def _simulated(schedule: Plan, database: Database) -> Iterator[Simulation]:
    """Patch the simulated database, broker and clock into the service."""
    sim = Simulation(schedule, database)

    class Publisher:
        publish = staticmethod(sim.network.publish)
        wakeups = staticmethod(wakeups)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", database.url)
        patch.setenv("BOOKING_SECONDS", "150")
        patch.setenv("RECONCILE_SECONDS", "300")
        if any(step.kind == "lie" for step in schedule.steps):
            patch.setenv("SUSPECT_CLAIMS_PER_HOUR", str(CLAIMS_PER_HOUR))
            patch.setattr("shared.evidence.unit_of_work.MAX_BOOTS", MAX_BOOTS)
        config.settings.cache_clear()
        patch.setattr("shared.mqtt.Publisher", Publisher)
        patch.setattr(db, "_connect", database.connect)
        patch.setattr(dispatch, "datetime", virtual_datetime(sim.clock))
        patch.setattr(dispatch, "time", SimpleNamespace(monotonic=sim.clock.seconds))
        count_moves(patch, sim.moved)
        patch.setattr("shared.log.configure", lambda _level: None)
        logger = logging.getLogger("scooter_accumulator")
        patch.setattr(logger, "handlers", [_ErrorCollector(sim.errors)])
        patch.setattr(logger, "propagate", False)
        patch.setattr(logger, "level", logging.ERROR)
        try:
            yield sim
        finally:
            config.settings.cache_clear()


class _ErrorCollector(logging.Handler):
    """Collects the errors that the service logs."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self._errors.append(f"{record.getMessage()} {trace.replace(_ROOT, '')}")
