"""Messages on their way: service → broker → cabinet, and cabinet → broker → trigger.

A connection keeps its order, as TCP does. Commands are at QoS 0: lost when the cabinet is not
there. Events are at QoS 1: they wait for the cabinet's connection, may come twice, and a batch
that failed comes again, whole, at any later time.
"""

import base64
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.errors import QueueUnavailable
from tests.service import record
from tests.simulation.calls import current

Message = dict[str, Any]
Mode = Literal["ok", "down", "lost", "slow"]


@dataclass(frozen=True)
class Publication:
    """A command on its way; `device_id` None: for all."""

    device_id: str | None
    command: Message


@dataclass
class Line:
    """A cabinet's connection to the broker."""

    connected: bool = True
    commands: deque[Publication] = field(default_factory=deque)
    """From the broker, in order; gone if the connection breaks."""
    outbox: deque[bytes] = field(default_factory=deque)
    """Said and not sent yet: there is no connection."""


class Network:
    """The broker, the lines to the cabinets, and the queue before the trigger."""

    def __init__(self, *, ordered: bool) -> None:
        self.ordered = ordered
        """Whether a slow broker keeps the order of all that it is told."""
        self.lines: dict[str, Line] = {}
        self.mode: Mode = "ok"
        self.slow: deque[Publication] = deque()
        """Publications that the broker has not read yet."""
        self.inbox: list[Message] = []
        """Records for the trigger, in the order in which the broker got them."""
        self.delivered: list[Message] = []
        """Records that the trigger has taken; they may come again."""
        self.forgotten: list[Message] = []
        """Of them, those that nobody knows any more."""
        self.watch: Callable[[Publication], None] = lambda _: None
        """Told of every publication, on the thread of its call."""
        self._events = 0

    # --- from the service ---------------------------------------------------------------------

    def publish(self, device_id: str | None, payload: bytes) -> None:
        """As shared.mqtt.Publisher, on the thread of a call."""
        call = current()
        call.reach("publish")
        publication = Publication(device_id, json.loads(payload))
        if self.mode == "down":
            raise QueueUnavailable
        self.watch(publication)
        if self.mode == "slow" or (self.mode == "ok" and self.ordered and self.slow):
            self.slow.append(publication)
        elif self.mode == "ok":
            self.arrive(publication)
        call.reach("published")

    def arrive(self, publication: Publication) -> None:
        """The broker has a command: it goes to who is connected now, and to nobody else."""
        for device_id, line in self.lines.items():
            if line.connected and publication.device_id in {None, device_id}:
                line.commands.append(publication)

    def in_flight(self, command_id: str) -> bool:
        """Whether a command may still arrive at a cabinet."""
        ways = [self.slow, *(line.commands for line in self.lines.values())]
        return any(p.command["command_id"] == command_id for way in ways for p in way)

    # --- from the cabinets --------------------------------------------------------------------

    def say(self, device_id: str, payload: bytes) -> None:
        """A cabinet sends an event."""
        line = self.lines[device_id]
        line.outbox.append(payload)
        if line.connected:
            self.send(device_id)

    def send(self, device_id: str) -> None:
        """What waited for the connection arrives at the broker."""
        outbox = self.lines[device_id].outbox
        while outbox:
            self._events += 1
            event_id = f"event-{self._events}"
            self.inbox.append(record(device_id, outbox.popleft(), event_id=event_id))

    def cut(self, device_id: str) -> None:
        """The cabinet's connection breaks: commands on it are lost."""
        line = self.lines[device_id]
        line.connected = False
        line.commands.clear()

    def take(self, first: int, count: int) -> list[Message]:
        """A batch for the trigger: `count` records, beginning with any."""
        batch = self.inbox[first : first + count]
        del self.inbox[first : first + count]
        return batch

    def is_late(self, record: Message) -> bool:
        """Whether the trigger has taken later words of its cabinet before."""
        if record in self.delivered and record not in self.forgotten:
            return False  # it comes again
        device_id, number = record["details"]["device_id"], _number(record)
        return any(
            one["details"]["device_id"] == device_id and _number(one) > number
            for one in self.delivered
        )

    def forget(self, device_id: str) -> None:
        """Its cabinet was removed: to another with its id, all that it has said is news."""
        self.forgotten += [r for r in self.delivered if r["details"]["device_id"] == device_id]

    def idle(self) -> bool:
        """Whether nothing is on its way."""
        lines = self.lines.values()
        return not (self.inbox or self.slow or any(x.commands or x.outbox for x in lines))


def _number(record: Message) -> int:
    return int(record["event_metadata"]["event_id"].split("-")[1])


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
