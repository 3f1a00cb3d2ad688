"""Calls of the real handlers, with a real database and a simulated world around them."""

import importlib
import json
from collections.abc import Callable
from typing import Any

from local.timer import timer_event
from tests.simulation import call_checks, message_checks
from tests.simulation.backend import IMPORTS, Request
from tests.simulation.calls import Call, Disruption
from tests.simulation.database import Database
from tests.simulation.network import Message, describe
from tests.simulation.plan import Plan
from tests.simulation.state import RunState
from tests.support.cloud import Context

CALL_TIMEOUT_S = 60
"""The unlock function's timeout in terraform/functions.tf; the others' are shorter."""


class Simulation(RunState):
    """The state of one run, and the calls that change it."""

    def __init__(self, plan: Plan, database: Database) -> None:
        super().__init__(plan, database)
        self.network.watch = lambda publication: message_checks.command_published(self, publication)

    def request(self, request: Request, disruption: Disruption) -> str:
        """Send an HTTP request; the call may last for many steps."""
        self.memory.requests.append(request)
        if (request.function, request.method) == ("accumulators", "PATCH"):
            self._note_correction(dict(request.parameters)["accumulator_id"])
        if request.resource == IMPORTS:
            self._note_import(json.loads(request.body or ""))
        call = Call(
            str(request),
            request.run,
            disruption,
            lambda call: call_checks.request_ended(self, call, request),
            lambda: call_checks.request_committed(self, request),
        )
        return self._begin(call)

    def _note_correction(self, accumulator_id: str) -> None:
        """Note that an operator corrects an accumulator's place, which may then be wrong."""
        self.world.expected_places[accumulator_id] = None
        self.world.uncertain.add(accumulator_id)
        self.memory.mark_overtaken({accumulator_id})

    def _note_import(self, body: dict[str, Any]) -> None:
        """Note which accumulators an import registers, and whose places it may change."""
        for item in () if body["dry_run"] else body["accumulators"]:
            self.memory.imported.add(item["accumulator_id"])
            self.memory.registered.add(item["accumulator_id"])
            if "contractor_id" in item:
                self._note_correction(item["accumulator_id"])

    def trigger(self, batch: list[Message], disruption: Disruption) -> str:
        """Call the trigger function with a batch of records."""
        names = ", ".join(describe(record) for record in batch)
        event = {"messages": batch}
        self.network.batches.append(batch)
        call = Call(
            f"trigger [{names}]",
            lambda: handler_of("mqtt_trigger")(event, Context()),
            disruption,
            lambda call: message_checks.batch_ended(self, call, batch),
            lambda: message_checks.batch_committed(self, batch),
        )
        return self._begin(call)

    def poll(self, disruption: Disruption) -> str:
        """Call the timer's function."""
        event = timer_event()
        call = Call(
            "poll",
            lambda: handler_of("poll_cabinets")(event, Context()),
            disruption,
            lambda call: call_checks.call_ended(self, call),
        )
        return self._begin(call)

    def resume(self, call: Call) -> str:
        """Resume a stopped call, or kill it if it has exceeded the function timeout."""
        if self.clock.now().timestamp() - call.started_at > CALL_TIMEOUT_S:
            call.kill()
        else:
            call.resume()
        if self.violations:
            raise self.violations[0]
        return self._description(call)

    def _begin(self, call: Call) -> str:
        call.started_at = self.clock.now().timestamp()
        self.calls.append(call)
        return self.resume(call)

    def _description(self, call: Call) -> str:
        if call.state != "done":
            return f"{call.name} … {call.state}"
        self.calls.remove(call)
        failure = call.struck_by or "killed at the timeout"
        result = failure if call.failed else call.result
        also = f" ({call.struck_by})" if call.struck_by and not call.failed else ""
        return f"{call.name} → {result}{also}"


def handler_of(name: str) -> Callable[[Any, Any], Any]:
    """Return a function's handler."""
    handler: Callable[[Any, Any], Any] = importlib.import_module(f"functions.{name}.main").handler
    return handler
