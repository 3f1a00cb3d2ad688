"""One run: calls of the real handlers, with a real database and a simulated world around them."""

import importlib
from collections.abc import Callable
from typing import Any

from local.timer import timer_event
from tests.cloud import Context
from tests.simulation import outcomes
from tests.simulation.backend import Request
from tests.simulation.calls import Call, Course
from tests.simulation.database import Database
from tests.simulation.network import Message, describe
from tests.simulation.plan import Plan
from tests.simulation.scene import Scene

LONGEST_CALL_S = 60
"""The unlock function's timeout in terraform/functions.tf; the others' are shorter."""


class Simulation(Scene):
    """Everything of one run, and its calls."""

    def __init__(self, plan: Plan, database: Database) -> None:
        super().__init__(plan, database)
        self.network.watch = lambda publication: outcomes.published(self, publication)

    def request(self, request: Request, course: Course) -> str:
        """Send an HTTP request; it may go on for many steps."""
        self.memory.requests.append(request)
        if (request.function, request.method) == ("accumulators", "PATCH"):
            self._be_corrected(dict(request.parameters)["accumulator_id"])
        call = Call(
            str(request), request.run, course, lambda call: outcomes.answered(self, call, request)
        )
        return self._begin(call)

    def _be_corrected(self, accumulator_id: str) -> None:
        """A person says where it is, true or not: the service need not know better."""
        self.world.claims[accumulator_id] = None
        self.world.unsure.add(accumulator_id)
        self.memory.overtake({accumulator_id})

    def trigger(self, batch: list[Message], course: Course) -> str:
        """Hand a batch of records to the trigger function."""
        names = ", ".join(describe(record) for record in batch)
        event = {"messages": batch}
        call = Call(
            f"trigger [{names}]",
            lambda: handler_of("mqtt_trigger")(event, Context()),
            course,
            lambda call: outcomes.taken(self, call, batch),
            lambda: outcomes.committed(self, batch),
        )
        return self._begin(call)

    def poll(self, course: Course) -> str:
        """The timer fires."""
        event = timer_event()
        call = Call(
            "poll",
            lambda: handler_of("poll_cabinets")(event, Context()),
            course,
            lambda call: outcomes.ended(self, call),
        )
        return self._begin(call)

    def resume(self, call: Call) -> str:
        """Let a stopped call go on; the platform ends one that has run too long."""
        if self.clock.now().timestamp() - call.began > LONGEST_CALL_S:
            call.kill()
        else:
            call.go()
        if self.found:
            raise self.found[0]
        return self._told(call)

    def _begin(self, call: Call) -> str:
        call.began = self.clock.now().timestamp()
        self.calls.append(call)
        return self.resume(call)

    def _told(self, call: Call) -> str:
        if call.state != "done":
            return f"{call.name} … {call.state}"
        self.calls.remove(call)
        ended = call.suffered or "ended by the platform"
        outcome = ended if call.failed else call.result
        also = f" ({call.suffered})" if call.suffered and not call.failed else ""
        return f"{call.name} → {outcome}{also}"


def handler_of(name: str) -> Callable[[Any, Any], Any]:
    """A function's handler."""
    handler: Callable[[Any, Any], Any] = importlib.import_module(f"functions.{name}.main").handler
    return handler
