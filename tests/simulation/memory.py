"""What the simulator remembers of the service, to compare with what comes later."""

from dataclasses import dataclass, field

from tests.simulation.backend import Request


class Violation(Exception):
    """What may never be has happened: the property, and what contradicts it."""

    def __init__(self, rule: str, detail: object) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


@dataclass(frozen=True)
class Sent:
    """An unlock that was published; what was then in its cells, and what was recorded there."""

    command_id: str
    booking_id: str
    cabinet_id: str
    contents: dict[int, set[str | None]]
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
    unanswered: list[Request] = field(default_factory=list)
    keyed_bookings: int = 0
    made_by_key: dict[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    swaps: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Physical swaps: contractor, scooter, installed, removed; "": it is not mentioned."""
    overtaken: set[tuple[str, str]] = field(default_factory=set)
    """Scooter and installed: swaps whose reports may have come after those of later swaps."""
    swap_ids: dict[int, str] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)
    """Of them, those whose report was answered."""
    positions: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    last_movement: int = 0
    outcomes: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Commands that were answered: status, and whether late."""
    registered: set[str] = field(default_factory=set)
    put_in_service: set[str] = field(default_factory=set)

    def overtake(self, accumulator_ids: set[str]) -> None:
        """Old reports about these may come after new ones, and without a key be taken for new."""
        swaps = (swap for swap in self.swaps if {*swap[2:]} & (accumulator_ids - {""}))
        self.overtaken |= {(swap[1], swap[2]) for swap in swaps}

    def forget_cabinet(self, cabinet_id: str) -> None:
        """It was removed: another with its id begins anew."""
        self.positions = {at: seen for at, seen in self.positions.items() if at[0] != cabinet_id}
