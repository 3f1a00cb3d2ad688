"""All that there is in a run, without what happens to it."""

import base64

from tests.simulation.calls import Call
from tests.simulation.clock import Clock
from tests.simulation.database import Database
from tests.simulation.history import History
from tests.simulation.memory import Memory, Violation
from tests.simulation.network import Message, Network
from tests.simulation.plan import Plan
from tests.simulation.world import World


class Scene:
    """Everything of one run."""

    def __init__(self, plan: Plan, database: Database) -> None:
        self.plan, self.database = plan, database
        self.clock = Clock()
        self.network = Network(ordered=not plan.honours_ttl)
        self.world = World(self.clock, self.network, plan)
        self.calls: list[Call] = []
        self.memory = Memory()
        self.history = History()
        self.errors: list[str] = []
        self.found: list[Violation] = []
        """On the threads of calls, which must not be disturbed."""
        self.contractors = [f"T-{n}" for n in range(1, plan.contractors + 1)]
        self.scooters = [f"S-{n}" for n in (1, 2)]
        database.reset(self.clock)

    def overtaken(self, record: Message) -> None:
        """Later words of its cabinet are taken first: what it shows may never be believed."""
        payload = base64.b64decode(record["details"]["payload"])
        for accumulator_id in self.world.claims.keys() | self.world.put_at.keys():
            if f'"{accumulator_id}"'.encode() in payload:
                self.world.claims[accumulator_id] = None
                self.world.unsure.add(accumulator_id)

    def swap_on_its_way(self, accumulator_id: str) -> bool:
        """Whether a swap with an accumulator was told, and nobody has answered."""
        return any(
            accumulator_id in swap and index not in self.memory.confirmed
            for index, swap in enumerate(self.memory.swaps)
        )

    def words_on_their_way(self, accumulator_id: str) -> bool:
        """Whether what was said about an accumulator has not been taken in yet.

        Nothing tells the service in which order a cabinet's words and reports of swaps were said.
        """
        if self.swap_on_its_way(accumulator_id):
            return True
        name = f'"{accumulator_id}"'.encode()
        waiting = [base64.b64decode(r["details"]["payload"]) for r in self.network.inbox]
        for line in self.network.lines.values():
            waiting += line.outbox
        for unit in self.world.units.values():
            waiting += unit.held
        busy = any(call.name.startswith("trigger") for call in self.calls)
        return busy or any(name in payload for payload in waiting)
