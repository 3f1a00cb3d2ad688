"""A transcript as the rules read it: connections, messages and commands, decoded leniently.

Lenient, so that one mistake is found by the rule that is about it, and the others still apply.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from shared.protocols import Undecodable
from shared.protocols.native_v1 import reading
from tools.conformance.transcript import (
    Answered,
    Asked,
    Called,
    Closed,
    Connect,
    Delivery,
    Entry,
    LoginAnswer,
    Message,
    Sent,
    Step,
    Subscribe,
)

Document = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """The cabinet under test, as it is registered, and how long the kit waits for what."""

    device_id: str
    cells: int
    registry_id: str = "local"
    first_report_s: float = 10
    answer_s: float = 10
    event_s: float = 10
    subscribe_s: float = 2
    reconnect_s: float = 60

    @property
    def events(self) -> str:
        """The topic that the cabinet publishes to."""
        return f"$devices/{self.device_id}/events"

    @property
    def commands(self) -> str:
        """The topic of its own commands."""
        return f"$devices/{self.device_id}/commands"

    @property
    def broadcasts(self) -> str:
        """The topic of the commands to all cabinets."""
        return f"$registries/{self.registry_id}/commands"


@dataclass
class Connection:
    """A connection of the cabinet, from its login to its end."""

    opened: Entry
    connect: Connect
    code: int | None = None
    subscriptions: list[Entry] = field(default_factory=list)
    closed: Entry | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether the broker has accepted the login."""
        return self.code == 0

    @property
    def filters(self) -> dict[str, int]:
        """Return the filters that it subscribed to, with their QoS."""
        facts = [entry.fact for entry in self.subscriptions]
        return {
            name: qos for fact in facts if isinstance(fact, Subscribe) for name, qos in fact.filters
        }

    def seconds(self, now: float) -> float:
        """Return how long it has lasted."""
        return (self.closed.seconds if self.closed else now) - self.opened.seconds


class Told(NamedTuple):
    """A message that the cabinet published, and its JSON object."""

    entry: Entry
    message: Message
    document: Document

    @property
    def type(self) -> str:
        """Return the type, or an empty text."""
        return text(self.document.get("type"))

    @property
    def boot_id(self) -> str:
        """Return the boot_id as a text, or an empty one."""
        return text(self.document.get("boot_id"))

    @property
    def seq(self) -> int | None:
        """Return the number, if it has one."""
        return whole(self.document.get("seq"))

    @property
    def command_id(self) -> str:
        """Return the id of the command that it answers, or an empty text."""
        return text(self.document.get("command_id"))

    @property
    def cells(self) -> dict[int, Document]:
        """Return the cells that it names, by number."""
        given = [self.document.get("cell")] if self.type == "cell_event" else None
        listed = self.document.get("cells") if given is None else given
        cells = listed if isinstance(listed, list) else []
        numbered = [(whole(c.get("cell_number")), c) for c in cells if isinstance(c, dict)]
        return {number: cell for number, cell in numbered if number is not None}

    def results(self) -> dict[int, str]:
        """Return the result of each cell of a command_result."""
        if self.type != "command_result":
            return {}
        return {number: text(cell.get("result")) for number, cell in self.cells.items()}

    def doors(self) -> dict[int, str]:
        """Return the doors that a report or an event shows, or that a result has opened."""
        if self.type == "command_result":
            return {number: "open" for number, word in self.results().items() if word == "opened"}
        return {number: text(cell.get("door")).lower() for number, cell in self.cells.items()}


class Command(NamedTuple):
    """A command that the broker has sent to the cabinet."""

    entry: Entry
    delivery: Delivery
    document: Document
    sent: Sent | None
    """What the kit intended with it; None: the service sent it."""

    @property
    def id(self) -> str:
        """Return its command_id."""
        return text(self.document.get("command_id"))

    @property
    def kind(self) -> str:
        """Return its kind."""
        return text(self.document.get("kind"))

    @property
    def purpose(self) -> str:
        """Return the kit's purpose; `service` for a command of the service."""
        return self.sent.purpose if self.sent else "service"

    @property
    def cells(self) -> list[int]:
        """Return the cells that it names."""
        return [number for number in self.document.get("cells", []) if isinstance(number, int)]


class Seen:
    """The entries of a transcript until `now`, in seconds, and what follows from them."""

    def __init__(self, entries: Sequence[Entry], target: Target, now: float | None = None) -> None:
        self.entries = entries
        self.target = target
        self.now = now if now is not None else (entries[-1].seconds if entries else 0.0)

    @cached_property
    def connections(self) -> list[Connection]:
        """Return the cabinet's connections in their order."""
        found: dict[int, Connection] = {}
        for entry in self.entries:
            fact = entry.fact
            if isinstance(fact, Connect):
                found[fact.connection] = Connection(entry, fact)
            elif isinstance(fact, LoginAnswer) and fact.connection in found:
                found[fact.connection].code = fact.code
            elif isinstance(fact, Subscribe) and fact.connection in found:
                found[fact.connection].subscriptions.append(entry)
            elif isinstance(fact, Closed) and fact.connection in found:
                found[fact.connection].closed = entry
        return list(found.values())

    @cached_property
    def listening(self) -> list[Connection]:
        """Return the connections that subscribe, or that last long enough to have done so."""
        return [
            one
            for one in self.connections
            if one.is_accepted and (one.filters or one.seconds(self.now) >= self.target.subscribe_s)
        ]

    @cached_property
    def published(self) -> list[tuple[Entry, Message]]:
        """Return everything that the cabinet published."""
        return [(entry, entry.fact) for entry in self.entries if isinstance(entry.fact, Message)]

    @cached_property
    def told(self) -> list[Told]:
        """Return the messages that are JSON objects, without exact redeliveries of MQTT."""
        known: set[bytes] = set()
        found = []
        for entry, message in self.published:
            is_redelivery = message.duplicate and message.payload in known
            known.add(message.payload)
            document = document_of(message.payload)
            if document is not None and not is_redelivery:
                found.append(Told(entry, message, document))
        return found

    def of_type(self, *types: str) -> list[Told]:
        """Return the messages of these types."""
        return [one for one in self.told if one.type in types]

    @cached_property
    def commands(self) -> list[Command]:
        """Return the commands that the cabinet received."""
        sent: dict[str, list[Sent]] = {}
        found: list[Command] = []
        for entry in self.entries:
            if isinstance(entry.fact, Sent):
                sent.setdefault(entry.fact.command["command_id"], []).append(entry.fact)
            elif isinstance(entry.fact, Delivery):
                document = document_of(entry.fact.payload) or {}
                known = sent.get(text(document.get("command_id")), [])
                index = min(
                    sum(one.id == document.get("command_id") for one in found), len(known) - 1
                )
                found.append(Command(entry, entry.fact, document, known[index] if known else None))
        return found

    def commands_for(self, *purposes: str) -> list[Command]:
        """Return the received commands with these purposes."""
        return [one for one in self.commands if one.purpose in purposes]

    def sent(self, *purposes: str) -> list[tuple[Entry, Sent]]:
        """Return what the kit sent with these purposes, received or not."""
        return [
            (entry, entry.fact)
            for entry in self.entries
            if isinstance(entry.fact, Sent) and entry.fact.purpose in purposes
        ]

    def answers(self, command_id: str, *, after: int = -1, before: float = 1e12) -> list[Told]:
        """Return the answers to a command after this entry, and before this second."""
        types = ("command_result", "state_report")
        return [
            one
            for one in self.of_type(*types)
            if one.command_id == command_id
            and one.entry.number > after
            and one.entry.seconds < before
        ]

    def has_waited(self, since: Entry, seconds: float) -> bool:
        """Whether this time has passed since an entry."""
        return self.now - since.seconds >= seconds

    def steps(self, name: str, event: str = "ended") -> list[Entry]:
        """Return where a step began, ended or was skipped."""
        return [
            entry
            for entry in self.entries
            if isinstance(entry.fact, Step) and (entry.fact.name, entry.fact.event) == (name, event)
        ]

    def hands(self, *actions: str) -> Iterator[tuple[Entry, Entry, Answered]]:
        """Yield each request for a hand: when it was asked, when it was answered, and how."""
        asked: Entry | None = None
        for entry in self.entries:
            if isinstance(entry.fact, Asked):
                asked = entry
            elif isinstance(entry.fact, Answered) and asked and entry.fact.action in actions:
                yield asked, entry, entry.fact

    def calls(self, path_end: str) -> list[tuple[Entry, Called]]:
        """Return the calls of the API whose path ends so."""
        return [
            (entry, entry.fact)
            for entry in self.entries
            if isinstance(entry.fact, Called) and entry.fact.path.endswith(path_end)
        ]

    @property
    def last_report(self) -> Told | None:
        """Return the newest state report that has cells."""
        return next((one for one in reversed(self.of_type("state_report")) if one.cells), None)

    def doors(self, *, before: float = float("inf")) -> dict[int, str]:
        """Return each door as the newest message before this entry shows it."""
        doors: dict[int, str] = {}
        for one in self.told:
            if one.entry.number < before:
                doors |= one.doors()
        return doors


@lru_cache(maxsize=4096)
def document_of(payload: bytes) -> Document | None:
    """Return the JSON object in a payload, as the service reads it; None if there is none."""
    try:
        return reading.parse(payload)
    except Undecodable:
        return None


def whole(value: Any) -> int | None:
    """Return a whole number, also one that was sent as a text; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        return int(value) if float(value) == int(float(value)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def text(value: Any) -> str:
    """Return a text or a number as a text; an empty text for anything else."""
    is_scalar = isinstance(value, str | int | float) and not isinstance(value, bool)
    return str(value) if is_scalar else ""


def shown(value: Any) -> str:
    """Return a value for people to read."""
    return json.dumps(value, ensure_ascii=False, default=str)[:100]
