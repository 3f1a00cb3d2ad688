"""One run: a schedule of steps against the real handlers, a real database and a simulated world."""

import base64
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.timer import timer_event
from tests.cloud import Context
from tests.simulation.backend import Answer, Request
from tests.simulation.calls import Call, Course, Killed
from tests.simulation.clock import Clock
from tests.simulation.database import Database
from tests.simulation.history import History
from tests.simulation.network import Message, Network, Publication
from tests.simulation.plan import Plan
from tests.simulation.world import World


LONGEST_CALL_S = 60
"""The unlock function's timeout in terraform/functions.tf; the others' are shorter."""


class Violation(Exception):
    """What may never be has happened: the property, and what contradicts it."""

    def __init__(self, rule: str, detail: object) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


@dataclass(frozen=True)
class Sent:
    """An unlock that was published, and what was then in its cells."""

    command_id: str
    booking_id: str
    cabinet_id: str
    contents: dict[int, str | None]
    at: float


@dataclass
class Known:
    """A booking as the backend knows it from an answer."""

    booking_id: str
    cabinet_id: str
    contractor_id: str
    kind: str


@dataclass
class Memory:
    """What the simulator has seen of the service."""

    bookings: list[Known] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    made_by_key: dict[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    swaps: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Physical swaps: contractor, scooter, installed, removed."""
    confirmed: set[int] = field(default_factory=set)
    """Of them, those whose report was answered."""
    positions: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    last_movement: int = 0
    registered: set[str] = field(default_factory=set)
    put_in_service: set[str] = field(default_factory=set)


class Simulation:
    """Everything of one run."""

    def __init__(self, plan: Plan, database: Database) -> None:
        self.plan, self.database = plan, database
        self.clock = Clock()
        self.network = Network()
        self.world = World(self.clock, self.network, plan.seed)
        self.calls: list[Call] = []
        self.memory = Memory()
        self.history = History()
        self.errors: list[str] = []
        self.found: list[Violation] = []
        """On the threads of calls, which must not be disturbed."""
        self.contractors = [f"T-{n}" for n in range(1, plan.contractors + 1)]
        self.scooters = [f"S-{n}" for n in (1, 2)]
        database.reset(self.clock)
        self.network.watch = self._published

    def words_on_their_way(self, accumulator_id: str) -> bool:
        """Whether what was said about an accumulator has not been taken in yet.

        Nothing tells the service in which order a cabinet's words and reports of swaps were said.
        """
        for index, swap in enumerate(self.memory.swaps):
            if accumulator_id in swap and index not in self.memory.confirmed:
                return True
        name = f'"{accumulator_id}"'.encode()
        waiting = [base64.b64decode(r["details"]["payload"]) for r in self.network.inbox]
        for line in self.network.lines.values():
            waiting += line.outbox
        for unit in self.world.units.values():
            waiting += unit.held
        busy = any(call.name.startswith("trigger") for call in self.calls)
        return busy or any(name in payload for payload in waiting)

    # --- calls --------------------------------------------------------------------------------

    def request(self, request: Request, course: Course) -> str:
        """Send an HTTP request; it may go on for many steps."""
        self.memory.requests.append(request)
        call = Call(str(request), request.run, course, lambda call: self._answered(call, request))
        return self._begin(call)

    def trigger(self, batch: list[Message], course: Course) -> str:
        """Hand a batch of records to the trigger function."""
        names = ", ".join(describe(record) for record in batch)
        event = {"messages": batch}
        call = Call(
            f"trigger [{names}]",
            lambda: handler_of("mqtt_trigger")(event, Context()),
            course,
            lambda call: self._taken(call, batch),
        )
        return self._begin(call)

    def poll(self, course: Course) -> str:
        """The timer fires."""
        event = timer_event()
        call = Call(
            "poll",
            lambda: handler_of("poll_cabinets")(event, Context()),
            course,
            self._check_end,
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

    # --- what comes of them -------------------------------------------------------------------

    def _check_end(self, call: Call) -> None:
        self.database.give_back(call)
        if call.deadlocked:
            raise Violation("no deadlock", call.name)
        if call.failed and not isinstance(call.error, Killed) and not call.suffered:
            raise Violation("no call fails by itself", repr(call.error)) from call.error

    def _answered(self, call: Call, request: Request) -> None:
        self._check_end(call)
        if call.failed:
            return
        answer: Answer = call.result
        if answer.status == 500 or (
            answer.status == 503
            and answer.body["code"] == "database_unavailable"
            and not call.suffered
        ):
            raise Violation("no request fails by itself", f"{answer} {self.errors[-1:]}")
        if request.resource == "/v1/bookings" and answer.status == 201:
            self._remember(request, answer.body)
        if request.resource.endswith("/unlock") and answer.status == 200:
            self._check_unlocked(answer.body)
        if request.swap is not None and answer.status == 200 and not answer.replayed:
            self._swapped(request.swap)

    def _remember(self, request: Request, body: Any) -> None:
        made = self.memory.made_by_key
        if request.key and made.setdefault(request.key, body["booking_id"]) != body["booking_id"]:
            raise Violation("one key makes one booking", request)
        if all(known.booking_id != body["booking_id"] for known in self.memory.bookings):
            names = ("booking_id", "cabinet_id", "contractor_id", "kind")
            self.memory.bookings.append(Known(*(body[name] for name in names)))

    def _check_unlocked(self, body: Any) -> None:
        for cell in body["cells"]:
            spot = (self._cabinet_of(body["booking_id"]), cell["cell_number"])
            opened = self.world.executed.get(body["command_id"], set())
            if cell["result"] == "opened" and spot[1] not in opened:
                if spot not in self.world.liars and not self._is_inferred(body["command_id"]):
                    raise Violation("what is told to be open was opened", spot)

    def _is_inferred(self, command_id: str) -> bool:
        sql = "SELECT inferred FROM commands WHERE command_id::text = %(id)s"
        return bool(self.database.query(sql, id=command_id)[0]["inferred"])

    def _cabinet_of(self, booking_id: str) -> str:
        return next(b.cabinet_id for b in self.memory.bookings if b.booking_id == booking_id)

    def _swapped(self, index: int) -> None:
        """A swap's report was taken; if it came too late, it may have confused the records."""
        self.memory.confirmed.add(index)
        contractor, scooter, installed, removed = self.memory.swaps[index]
        places, claims, unsure = self.world.places(), self.world.claims, self.world.unsure
        if places[installed] == scooter and places[removed] == contractor:
            for accumulator_id, place in ((installed, scooter), (removed, contractor)):
                claims[accumulator_id] = None if accumulator_id in unsure else place
            return
        confused = {installed, removed} | {i for i, place in claims.items() if place == scooter}
        claims.update(dict.fromkeys(confused))
        unsure |= confused

    def _taken(self, call: Call, batch: list[Message]) -> None:
        self._check_end(call)
        if call.failed:
            self.network.inbox[:0] = batch
            return
        if not call.commits:
            raise Violation("I5 no message disappears", "a batch was taken and nothing committed")
        self.network.delivered += batch
        for record in batch:
            message = message_of(record)
            if message.get("type") == "command_result":
                self._check_settled(message)

    def _check_settled(self, message: Message) -> None:
        rows = self.database.query(
            "SELECT status FROM commands WHERE command_id::text = %(id)s",
            id=message["command_id"],
        )
        if rows and rows[0]["status"] in {"pending", "published", "no_answer"}:
            raise Violation("I5 an answer settles its command", message)

    def _published(self, publication: Publication) -> None:
        """On the thread of a call: a command is about to be sent."""
        command = publication.command
        if command["kind"] != "unlock":
            return
        [row] = self.database.query(
            "SELECT booking_id::text AS booking_id FROM commands WHERE command_id::text = %(id)s",
            id=command["command_id"],
        )
        cabinet_id = publication.device_id or ""
        sent = Sent(
            command["command_id"],
            row["booking_id"],
            cabinet_id,
            {n: self.world.content((cabinet_id, n)) for n in command["cells"]},
            self.clock.now().timestamp(),
        )
        if row["booking_id"] is not None:
            for earlier in self.memory.sent:
                if earlier.booking_id == sent.booking_id:
                    self._check_not_doubled(earlier, sent)
        self.memory.sent.append(sent)

    def _check_not_doubled(self, earlier: Sent, sent: Sent) -> None:
        age = sent.at - earlier.at
        honest = self.world.units[sent.cabinet_id].hardware.firmware.honours_ttl
        may_arrive = self.network.in_flight(earlier.command_id) and not (honest and age > 15)
        opened = self.world.executed.get(earlier.command_id, set())
        for number in earlier.contents.keys() & sent.contents.keys():
            spot = (sent.cabinet_id, number)
            cell = self.world.units[spot[0]].hardware.cells[number]
            undone = cell.door == "closed" and self.world.content(spot) == earlier.contents[number]
            if spot in self.world.liars:
                continue
            if may_arrive or (number in opened and not undone):
                detail = f"{spot} by {earlier.command_id} and {sent.command_id}"
                self.found.append(Violation("I4 no door is commanded open twice", detail))


def handler_of(name: str) -> Callable[[Any, Any], Any]:
    """A function's handler."""
    handler: Callable[[Any, Any], Any] = importlib.import_module(f"functions.{name}.main").handler
    return handler


def message_of(record: Message) -> Message:
    """What a record's payload says; empty if it cannot be read."""
    try:
        found = json.loads(base64.b64decode(record["details"]["payload"]))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def describe(record: Message) -> str:
    """A record in a few words."""
    message = message_of(record)
    cells = [message["cell"]] if "cell" in message else message.get("cells", [])
    said = " ".join(
        f"{c.get('cell_number')}:{c.get('result') or c.get('door')}:{c.get('accumulator_id', '')}"
        for c in cells
    )
    name, boot = message.get("type", "garbage"), message.get("boot_id", "").split("-")
    generation = boot[1] if len(boot) > 1 else "?"
    return f"{record['details']['device_id']} {name} {generation}.{message.get('seq')} {said}"
