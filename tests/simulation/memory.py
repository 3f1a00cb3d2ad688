"""What the simulator has seen of the service, for comparison with later responses."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tests.simulation.backend import Request
from tests.simulation.world import CellId

CLAIMS_PER_HOUR = 2
"""The setting of runs in which a cabinet lies."""
MAX_BOOTS = 3
"""How many boots of a cabinet are kept in such runs."""


class Violation(Exception):
    """A broken rule, and the detail that breaks it."""

    def __init__(self, rule: str, detail: object) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


@dataclass(frozen=True)
class SentUnlock:
    """A published unlock command.

    `contents`: for each cell, the accumulators that were really in it or recorded in it.
    """

    command_id: str
    booking_id: str
    cabinet_id: str
    contents: dict[int, set[str | None]]
    at: float


@dataclass(frozen=True)
class Report:
    """A swap or a transfer that happened, as far as its report tells.

    `places`: each accumulator that the report names, and where it went; `scooter`: a swap's.
    """

    kind: Literal["swap", "transfer"]
    places: dict[str, str]
    scooter: str | None = None


@dataclass
class KnownBooking:
    """A booking as the backend knows it from a response."""

    booking_id: str
    cabinet_id: str
    contractor_id: str
    kind: str


@dataclass
class Memory:
    """What the simulator has seen of the service."""

    bookings: list[KnownBooking] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    unanswered: list[Request] = field(default_factory=list)
    keyed_bookings: int = 0
    made_by_key: dict[str, str] = field(default_factory=dict)
    sent_unlocks: list[SentUnlock] = field(default_factory=list)
    with_invented_result: set[str] = field(default_factory=set)
    """Commands whose results a cabinet has invented; these may contradict the true ones."""
    reports: list[Report] = field(default_factory=list)
    overtaken_reports: set[tuple[str, str]] = field(default_factory=set)
    """Accumulator and place of reports that may be recorded after later ones, and so as new."""
    report_ids: dict[int, str] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    """Indexes of reports that were answered."""
    positions: dict[CellId, tuple[int, int]] = field(default_factory=dict)
    last_movement: int = 0
    outcomes: dict[str, tuple[str, dict[int, str]]] = field(default_factory=dict)
    """Settled commands: status, and the result of each cell."""
    evidence: dict[CellId, tuple[tuple[int, int], int]] = field(default_factory=dict)
    """For each cell, the stored position and the number of its message in time."""
    boots: dict[str, list[int]] = field(default_factory=dict)
    """For each cabinet, its boots in the order that the service believes."""
    newest_sessions: dict[str, int] = field(default_factory=dict)
    """For each cabinet, the number of the latest connection whose hello was processed."""
    newest_boots: dict[str, int] = field(default_factory=dict)
    """For each cabinet, the number of the latest boot of which a message was processed."""
    signed_off: set[str] = field(default_factory=set)
    """Cabinets whose connection is known to be lost."""
    registered: set[str] = field(default_factory=set)
    put_in_service: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)
    """Accumulators that an import names which is no dry run."""
    known_boots: dict[str, set[int]] = field(default_factory=dict)
    """For each cabinet, all its boots that the service has known, also those it does not keep."""
    overtaken: set[str] = field(default_factory=set)
    """Cabinets one of whose boots the service saw first after a later one."""
    cleared: set[str] = field(default_factory=set)
    """Cabinets whose claims an operator has let pass."""
    enrolments: list[tuple[str, datetime]] = field(default_factory=list)
    """Each cabinet that an operator lets enrol, and until when."""

    def mark_overtaken(self, accumulator_ids: set[str]) -> None:
        """Note that reports of these accumulators may arrive late and be recorded as new."""
        for report in self.reports:
            if report.places.keys() & accumulator_ids:
                self.overtaken_reports |= {*report.places.items()}

    def forget_cabinet(self, cabinet_id: str) -> None:
        """Forget a removed cabinet's evidence: a new registration starts without any."""
        self.positions = {
            at: seen for at, seen in self.positions.items() if at.cabinet_id != cabinet_id
        }
        self.evidence = {
            at: seen for at, seen in self.evidence.items() if at.cabinet_id != cabinet_id
        }
        self.boots.pop(cabinet_id, None)
        self.known_boots.pop(cabinet_id, None)
        self.overtaken.discard(cabinet_id)
        self.newest_sessions.pop(cabinet_id, None)
        self.newest_boots.pop(cabinet_id, None)
        self.signed_off.discard(cabinet_id)
