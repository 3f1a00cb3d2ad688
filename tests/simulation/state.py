"""The state of a run: world, network, database, clock, calls and memory."""

import base64
from collections import Counter

from tests.simulation.calls import Call
from tests.simulation.clock import Clock
from tests.simulation.database import Database
from tests.simulation.history import History
from tests.simulation.memory import Memory, Violation
from tests.simulation.network import Message, Network
from tests.simulation.plan import Plan
from tests.simulation.transitions import Change
from tests.simulation.world import World


class RunState:
    """The state of one run."""

    def __init__(self, plan: Plan, database: Database) -> None:
        self.plan, self.database = plan, database
        self.clock = Clock()
        self.network = Network(self.clock, ordered=not plan.honours_ttl)
        self.world = World(self.clock, self.network, plan)
        self.calls: list[Call] = []
        self.memory = Memory()
        self.history = History()
        self.moved: Counter[Change] = Counter()
        """Changes of states that Python has made."""
        self.errors: list[str] = []
        self.violations: list[Violation] = []
        """Rules that were broken on the threads of calls, where raising would disturb the call."""
        self.contractors = [f"T-{n}" for n in range(1, plan.contractors + 1)]
        self.scooters = [f"S-{n}" for n in (1, 2)]
        self.carriers = [*self.contractors, "VAN-1"]
        """Who carries accumulators: a van is a contractor that books nothing."""
        database.reset(self.clock)

    def cabinet_id(self, number: int) -> str:
        """Return the id of a cabinet that a number of a step chooses."""
        return f"C-{1 + number % self.plan.cabinets}"

    def contractor(self, number: int) -> str:
        """Return the contractor that a number of a step chooses."""
        return self.contractors[number % len(self.contractors)]

    def mark_overtaken(self, record: Message) -> None:
        """Note that later messages are processed before this one, so it may be ignored."""
        payload = base64.b64decode(record["details"]["payload"]).upper()
        for accumulator_id in self.world.expected_places.keys() | self.world.put_at.keys():
            if f'"{accumulator_id}"'.encode() in payload:
                self.world.expected_places[accumulator_id] = None
                self.world.uncertain.add(accumulator_id)

    def report_in_flight(self, accumulator_id: str) -> bool:
        """Whether a reported swap or transfer of an accumulator has no response yet."""
        return any(
            accumulator_id in report.places and index not in self.memory.confirmed
            for index, report in enumerate(self.memory.reports)
        )

    def messages_in_flight(self, accumulator_id: str) -> bool:
        """Whether a message that names an accumulator has not been processed yet.

        The service cannot know the order of a cabinet's messages and people's reports.
        """
        if self.report_in_flight(accumulator_id):
            return True
        name = f'"{accumulator_id}"'.encode()
        waiting = [base64.b64decode(r["details"]["payload"]) for r in self.network.inbox]
        for session in self.network.sessions.values():
            waiting += session.outbox
        for cabinet in self.world.cabinets.values():
            waiting += cabinet.held
        busy = any(call.name.startswith("trigger") for call in self.calls)
        return busy or any(name in payload.upper() for payload in waiting)
