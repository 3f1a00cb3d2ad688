"""What happened between the cabinet and the broker, and what the kit did, in order."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, TypeVar

from tools.conformance.packets import Will

T = TypeVar("T")
Outcome = Literal["done", "skipped", "not_done"]


@dataclass(frozen=True)
class Connect:
    """The cabinet opened a connection and sent its login."""

    connection: int
    level: int
    client_id: str
    username: str | None
    clean: bool
    session_expiry_s: int
    keepalive_s: int
    will: Will | None


@dataclass(frozen=True)
class LoginAnswer:
    """The broker's answer to the login; 0: accepted."""

    connection: int
    code: int


@dataclass(frozen=True)
class Subscribe:
    """The cabinet subscribed to topic filters, each with a QoS."""

    connection: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Message:
    """The cabinet published a message."""

    connection: int
    topic: str
    payload: bytes
    qos: int
    retain: bool
    duplicate: bool


@dataclass(frozen=True)
class Delivery:
    """The broker sent the cabinet a message."""

    connection: int
    topic: str
    payload: bytes
    qos: int


@dataclass(frozen=True)
class Unreadable:
    """Bytes that are no MQTT packet."""

    connection: int
    reason: str


@dataclass(frozen=True)
class Closed:
    """A connection ended."""

    connection: int
    by: Literal["kit", "cabinet", "broker"]
    with_goodbye: bool  # the cabinet sent DISCONNECT


@dataclass(frozen=True)
class Sent:
    """The kit published a command itself; `purpose` says which test it belongs to."""

    purpose: str
    command: dict[str, Any]
    topic: str


@dataclass(frozen=True)
class Called:
    """The kit called the service's API."""

    method: str
    path: str
    status: int
    body: Any


@dataclass(frozen=True)
class Step:
    """A step of the walk began, ended or was skipped."""

    name: str
    event: Literal["began", "ended", "skipped"]
    reason: str = ""


@dataclass(frozen=True)
class Asked:
    """The kit asked for a hand: `close`, `take`, `insert` (a cell) or `power`."""

    action: str
    cell: int | None


@dataclass(frozen=True)
class Answered:
    """What became of the last request for a hand."""

    action: str
    cell: int | None
    outcome: Outcome


Fact = (
    Connect
    | LoginAnswer
    | Subscribe
    | Message
    | Delivery
    | Unreadable
    | Closed
    | Sent
    | Called
    | Step
    | Asked
    | Answered
)


class Entry(NamedTuple):
    """A fact, with its number, the time of day, and the seconds since the transcript began."""

    number: int
    time: datetime
    seconds: float
    fact: Fact


class Transcript:
    """Collects facts from several threads."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._entries: list[Entry] = []
        self._changed = threading.Condition()

    @property
    def entries(self) -> list[Entry]:
        """Return what has happened so far."""
        with self._changed:
            return [*self._entries]

    @property
    def seconds(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._began

    def add(self, fact: Fact) -> Entry:
        """Add a fact that happened now."""
        with self._changed:
            entry = Entry(len(self._entries), datetime.now(UTC), self.seconds, fact)
            self._entries.append(entry)
            self._changed.notify_all()
        return entry

    def wait_for(self, find: Callable[[list[Entry]], T | None], seconds: float) -> T | None:
        """Return what `find` finds in the entries as soon as it does; None after this time."""
        deadline = time.monotonic() + seconds
        known = -1
        while True:
            with self._changed:
                while len(self._entries) == known:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        return None
                entries = [*self._entries]
            known = len(entries)
            if (found := find(entries)) is not None:
                return found
            if time.monotonic() >= deadline:  # a cabinet may send faster than `find` looks
                return None
