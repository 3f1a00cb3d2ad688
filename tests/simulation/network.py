"""Messages in flight: service → broker → cabinet, and cabinet → broker → trigger.

A connection keeps its order, as TCP does. Commands are lost if the cabinet is not connected. Events
wait for the cabinet's connection and may be delivered twice; a batch that failed is redelivered,
whole, at any later time. Batches are delivered at the same time, as by lanes of the bridge, and
again while they are delivered, as by a bridge that takes over.
"""

import base64
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.errors import QueueUnavailable
from tests.simulation.calls import current
from tests.simulation.clock import Clock
from tests.support.service import record

Message = dict[str, Any]
Mode = Literal["ok", "down", "lost", "slow"]


@dataclass(frozen=True)
class Publication:
    """A published command; `device_id` None: for all cabinets."""

    device_id: str | None
    command: Message


@dataclass
class Session:
    """A cabinet's connection to the broker."""

    connected: bool = True
    commands: deque[Publication] = field(default_factory=deque)
    """Commands from the broker, in order; lost if the connection breaks."""
    outbox: deque[bytes] = field(default_factory=deque)
    """Events that wait for a connection."""
    will: bytes | None = None
    """What the broker publishes when the connection is lost."""


class Network:
    """The broker, the cabinets' connections, and the trigger's queue."""

    def __init__(self, clock: Clock, *, ordered: bool) -> None:
        self._clock = clock
        self.ordered = ordered
        """Whether a slow broker keeps the order of commands."""
        self.sessions: dict[str, Session] = {}
        self.mode: Mode = "ok"
        self.slow: deque[Publication] = deque()
        """Publications that the broker has not handled yet."""
        self.wills: deque[tuple[str, bytes]] = deque()
        """Last wills of lost connections, which the broker has not noticed yet."""
        self.inbox: list[Message] = []
        """Records for the trigger, in the order in which the broker received them."""
        self.batches: list[list[Message]] = []
        """Records in calls of the trigger that have not ended."""
        self.delivered: list[Message] = []
        """Records that the trigger has processed; they may be redelivered."""
        self.forgotten: list[Message] = []
        """Delivered records of cabinets that were removed since."""
        self.watch: Callable[[Publication], None] = lambda _: None
        """Called with every publication, on the thread of its call."""
        self._events = 0

    # --- from the service ---------------------------------------------------------------------

    def publish(self, device_id: str | None, payload: bytes, **_: float) -> None:
        """Replace `shared.mqtt.Publisher.publish`, on the thread of a call."""
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
        """Forward a command to the cabinets that are connected now."""
        for device_id, session in self.sessions.items():
            if session.connected and publication.device_id in {None, device_id}:
                session.commands.append(publication)

    def in_flight(self, command_id: str) -> bool:
        """Whether a command may still arrive at a cabinet."""
        queues = [self.slow, *(session.commands for session in self.sessions.values())]
        return any(p.command["command_id"] == command_id for queue in queues for p in queue)

    # --- from the cabinets --------------------------------------------------------------------

    def enqueue(self, device_id: str, payload: bytes) -> None:
        """Queue a cabinet's event, and send it if the cabinet is connected."""
        session = self.sessions[device_id]
        session.outbox.append(payload)
        if session.connected:
            self.send(device_id)

    def send(self, device_id: str) -> None:
        """Send a cabinet's queued events to the broker."""
        outbox = self.sessions[device_id].outbox
        while outbox:
            self._receive(device_id, outbox.popleft())

    def _receive(self, device_id: str, payload: bytes) -> None:
        self._events += 1
        event_id, now = f"event-{self._events}", self._clock.now()
        self.inbox.append(record(device_id, payload, event_id=event_id, received_at=now))

    def connect(self, device_id: str, will: bytes) -> None:
        """Connect a cabinet, and send its queued events."""
        session = self.sessions[device_id]
        session.connected, session.will = True, will
        self.send(device_id)

    def cut(self, device_id: str) -> None:
        """Break a cabinet's connection: the commands on it are lost."""
        session = self.sessions[device_id]
        session.connected = False
        session.commands.clear()
        if session.will is not None:
            self.wills.append((device_id, session.will))
            session.will = None

    def publish_will(self) -> str | None:
        """Publish the oldest last will; return its cabinet."""
        if not self.wills:
            return None
        device_id, will = self.wills.popleft()
        self._receive(device_id, will)
        return device_id

    def take_batch(self, first: int, count: int) -> list[Message]:
        """Take `count` records, from index `first` on, out of the queue."""
        batch = self.inbox[first : first + count]
        del self.inbox[first : first + count]
        return batch

    def is_late(self, record: Message, before: list[Message]) -> bool:
        """Whether the trigger has processed a later record of the same cabinet before.

        `before`: the records before it in its batch.
        """
        if record in self.delivered and record not in self.forgotten:
            return False  # it is redelivered
        device_id, number = record["details"]["device_id"], _number(record)
        return any(
            one["details"]["device_id"] == device_id and _number(one) > number
            for one in (*self.delivered, *before)
        )

    def forget(self, device_id: str) -> None:
        """Note that a cabinet was removed: its records are new to the next one with its id."""
        self.forgotten += [r for r in self.delivered if r["details"]["device_id"] == device_id]

    def idle(self) -> bool:
        """Whether no message is in flight."""
        sessions = self.sessions.values()
        waiting = self.inbox or self.slow or self.wills
        return not (waiting or any(x.commands or x.outbox for x in sessions))


def _number(record: Message) -> int:
    return int(record["event_metadata"]["event_id"].split("-")[1])


def message_of(record: Message) -> Message:
    """Decode a record's payload; empty if that is impossible."""
    try:
        found = json.loads(base64.b64decode(record["details"]["payload"]))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def describe(record: Message) -> str:
    """Return a short description of a record."""
    message = message_of(record)
    cells = [message["cell"]] if "cell" in message else message.get("cells", [])
    contents = " ".join(
        f"{c.get('cell_number')}:{c.get('result') or c.get('door')}:{c.get('accumulator_id', '')}"
        for c in cells
    )
    name, boot = message.get("type", "malformed"), message.get("boot_id", "").split("-")
    boot_number = boot[1] if len(boot) > 1 else "?"
    head = f"{record['details']['device_id']} {name} {boot_number}.{message.get('seq')}"
    return f"{head} {contents or message.get('session', '')}".rstrip()
