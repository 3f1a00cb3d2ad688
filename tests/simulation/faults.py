"""What goes wrong on the network; and deliveries one by one."""

from tests.simulation.calls import Course
from tests.simulation.network import describe
from tests.simulation.simulation import Simulation
from tests.simulation.world import Unit

Numbers = tuple[int, int, int, int]


def deliver(sim: Simulation, course: Course, numbers: Numbers) -> str | None:
    """Some events reach the trigger, mostly the first ones."""
    inbox = sim.network.inbox
    if not inbox:
        return None
    first = numbers[0] % len(inbox) if numbers[1] % 6 == 0 else 0
    return sim.trigger(sim.network.take(first, 1 + numbers[2] % 4), course)


def obey(sim: Simulation, _course: Course, numbers: Numbers) -> str | None:
    """A cabinet reads one command."""
    cabinet_id, _ = _unit(sim, numbers)
    done = sim.world.obey(cabinet_id)
    return f"{cabinet_id} reads {done}" if done else None


def redeliver(sim: Simulation, _course: Course, numbers: Numbers) -> str | None:
    """An event comes once more."""
    delivered = sim.network.delivered
    if not delivered:
        return None
    record = delivered[-1 - numbers[0] % min(len(delivered), 10)]
    sim.network.inbox.append(record)
    return f"comes again: {describe(record)}"


def shuffle(sim: Simulation, _course: Course, numbers: Numbers) -> str | None:
    """An event is overtaken by the later ones."""
    inbox = sim.network.inbox
    if len(inbox) < 2:
        return None
    record = inbox.pop(numbers[0] % (len(inbox) - 1))
    inbox.append(record)
    sim.overtaken(record)
    return f"is overtaken: {describe(record)}"


def publishing(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """The broker is down, loses what it takes, or is slow; or is well again."""
    mode = ("ok", "down", "lost", "slow", "ok", "ok")[numbers[0] % 6]
    sim.network.mode = mode  # type: ignore[assignment] # one of the four words
    return f"publishing: {mode}"


def catch_up(sim: Simulation, _course: Course, _numbers: Numbers) -> str | None:
    """The broker reads what it was slow to read."""
    slow = sim.network.slow
    if not slow:
        return None
    publication = slow.popleft()
    sim.network.arrive(publication)
    return f"arrives late at the broker: {publication.command['command_id']}"


def disconnect(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """A cabinet loses the network, or finds it again."""
    cabinet_id, _ = _unit(sim, numbers)
    if sim.network.lines[cabinet_id].connected:
        sim.network.cut(cabinet_id)
        return f"{cabinet_id} loses the network"
    sim.world.reconnect(cabinet_id)
    return f"{cabinet_id} finds the network again"


def crash(sim: Simulation, _course: Course, numbers: Numbers) -> str:
    """The database server ends, and comes back; sometimes not at once."""
    if not sim.database.up:
        sim.database.up = True
        return "the database is back"
    recovers = numbers[0] % 3 > 0
    undone = sim.database.crash(recovers=recovers)
    back = "comes back" if recovers else "stays away"
    return f"the database crashes ({undone} transactions undone) and {back}"


def _unit(sim: Simulation, numbers: Numbers) -> tuple[str, Unit]:
    cabinet_id = f"C-{1 + numbers[0] % sim.plan.cabinets}"
    return cabinet_id, sim.world.units[cabinet_id]


STEPS = {
    deliver: 16,
    obey: 10,
    redeliver: 3,
    shuffle: 3,
    publishing: 3,
    catch_up: 3,
    disconnect: 3,
    crash: 2,
}
