"""Random steps: single deliveries, and faults of the network, the broker and the database.

Each returns its line of the history, or None if it does nothing.
"""

from tests.simulation.calls import Disruption
from tests.simulation.network import describe
from tests.simulation.plan import Numbers
from tests.simulation.simulation import Simulation


def deliver(sim: Simulation, disruption: Disruption, numbers: Numbers) -> str | None:
    """A batch of events reaches the trigger, mostly the oldest ones."""
    inbox = sim.network.inbox
    if not inbox:
        return None
    first = numbers[0] % len(inbox) if numbers[1] % 6 == 0 else 0
    return sim.trigger(sim.network.take_batch(first, 1 + numbers[2] % 4), disruption)


def execute_command(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """A cabinet executes one command."""
    cabinet_id = sim.cabinet_id(numbers[0])
    command = sim.world.execute_command(cabinet_id)
    return f"{cabinet_id} executes {command}" if command else None


def redeliver(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """An event is delivered again."""
    delivered = sim.network.delivered
    if not delivered:
        return None
    record = delivered[-1 - numbers[0] % min(len(delivered), 10)]
    sim.network.inbox.append(record)
    return f"redelivered: {describe(record)}"


def take_over(sim: Simulation, _disruption: Disruption, _numbers: Numbers) -> str | None:
    """The bridge dies, and another takes over: what was in flight is sent again, first of all.

    The calls with it go on. The others' batches follow while they do.
    """
    again = [record for batch in sim.network.batches for record in batch]
    if not again:
        return None
    sim.network.inbox[:0] = again
    return f"taken over by another bridge: {', '.join(map(describe, again))}"


def overtake(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str | None:
    """All later events overtake one event."""
    inbox = sim.network.inbox
    if len(inbox) < 2:
        return None
    record = inbox.pop(numbers[0] % (len(inbox) - 1))
    inbox.append(record)
    sim.mark_overtaken(record)
    return f"overtaken: {describe(record)}"


def change_broker(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """The broker is down, loses commands, is slow, or works again."""
    mode = ("ok", "down", "lost", "slow", "ok", "ok")[numbers[0] % 6]
    sim.network.mode = mode  # type: ignore[assignment] # one of the four words
    return f"broker: {mode}"


def handle_slow_command(sim: Simulation, _disruption: Disruption, _numbers: Numbers) -> str | None:
    """A slow broker handles its oldest command."""
    slow = sim.network.slow
    if not slow:
        return None
    publication = slow.popleft()
    sim.network.arrive(publication)
    return f"handled late by the broker: {publication.command['command_id']}"


def disconnect(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """A cabinet loses its network connection, or reconnects."""
    cabinet_id = sim.cabinet_id(numbers[0])
    if sim.network.sessions[cabinet_id].connected:
        sim.network.cut(cabinet_id)
        return f"{cabinet_id} loses its connection"
    sim.world.reconnect(cabinet_id)
    return f"{cabinet_id} reconnects"


def publish_will(sim: Simulation, _disruption: Disruption, _numbers: Numbers) -> str | None:
    """The broker notices that a cabinet's connection is lost, perhaps after the next has begun."""
    cabinet_id = sim.network.publish_will()
    return f"the broker publishes the last will of {cabinet_id}" if cabinet_id else None


def crash(sim: Simulation, _disruption: Disruption, numbers: Numbers) -> str:
    """The database server crashes and restarts, sometimes not at once."""
    if not sim.database.up:
        sim.database.up = True
        return "the database restarts"
    recovers = numbers[0] % 3 > 0
    undone = sim.database.crash(recovers=recovers)
    then = "restarts" if recovers else "stays down"
    return f"the database crashes ({undone} transactions rolled back) and {then}"


STEPS = {
    deliver: 16,
    execute_command: 10,
    redeliver: 3,
    take_over: 3,
    overtake: 3,
    change_broker: 3,
    handle_slow_command: 3,
    disconnect: 3,
    publish_will: 2,
    crash: 2,
}
