"""What a cabinet is made of: accumulators, and cells whose doors, locks and sensors may fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

SECONDS_PER_PERCENT = 150  # an empty accumulator is full after a little more than four hours

Message = dict[str, Any]


class Impossible(ValueError):
    """Physics does not allow this; the message says what stands in the way."""


@dataclass(frozen=True)
class Accumulator:
    """A physical thing: moved between cells and bags, never copied."""

    accumulator_id: str
    battery_charge: int | None = None
    state_of_health: int | None = None
    readable: bool = True


@dataclass
class Cell:
    """The physical truth of one cell. `senses` is what broken sensors say in its stead."""

    cell_number: int
    accumulator: Accumulator | None = None
    door: Literal["open", "closed"] = "closed"
    lock: Literal["ok", "jammed", "stuck"] = "ok"  # stuck: the bolt moves, the door does not
    disabled: bool = False  # switched off by hand at the cabinet; only an unlock shows it
    fault: str | None = None  # what the cabinet itself reports as broken
    temperature_c: float = 24.5
    senses: dict[str, Any] = field(default_factory=dict)
    openings: int = 0  # by command
    charging_s: float = 0.0  # towards the next percent

    @property
    def charging(self) -> bool:
        """Whether current flows: a closed, healthy cell with an accumulator that is not full."""
        charge = self.accumulator.battery_charge if self.accumulator else None
        idle = self.door == "open" or self.disabled or self.fault is not None
        return not idle and charge is not None and 0 <= charge < 100  # noqa: PLR2004 - percent

    def seen(self) -> Message:
        """The cell in the wire's words, as its sensors show it."""
        accumulator = self.accumulator
        seen: Message = {
            "cell_number": self.cell_number,
            "door": self.door,
            "accumulator_id": None,
            "temperature_c": self.temperature_c,
        }
        if accumulator and not accumulator.readable:
            seen["accumulator_id"] = "?"
        elif accumulator and self.senses.get("accumulator_id", "") not in (None, "?"):
            seen["accumulator_id"] = accumulator.accumulator_id
            seen["battery_charge"] = accumulator.battery_charge
            seen["charging"] = self.charging
            if accumulator.state_of_health is not None:
                seen["state_of_health"] = accumulator.state_of_health
        if self.fault is not None:
            seen["fault"] = self.fault
        return seen | self.senses

    def unlock(self) -> Message:
        """Send the lock a pulse; the answer is what the cabinet can know of it."""
        if self.disabled:
            return self._result("disabled")
        if self.fault is not None:
            return self._result("faulty")
        self.openings += 1
        if self.lock == "jammed":
            return self._result("jammed")
        if self.lock == "ok":
            self.door = "open"
        seen = self.seen()
        if seen["door"] != "open":
            return self._result("not_detected")
        inside = {key: seen[key] for key in ("accumulator_id", "battery_charge") if key in seen}
        return self._result("opened") | inside

    def engage(self) -> Message:
        """Shut the bolt, which needs a door that the sensor sees closed."""
        if self.lock == "jammed":
            return self._result("jammed")
        return self._result("locked" if self.seen()["door"] == "closed" else "not_detected")

    def charge(self, seconds: float) -> None:
        """Let current flow for so long."""
        if self.accumulator is None or not self.charging:
            return
        percent, self.charging_s = divmod(self.charging_s + seconds, SECONDS_PER_PERCENT)
        charge = min(100, (self.accumulator.battery_charge or 0) + int(percent))
        self.accumulator = replace(self.accumulator, battery_charge=charge)

    def to_json(self) -> Message:
        """Write everything down: a hundred times as fast as `asdict`."""
        return {**vars(self), "accumulator": self.accumulator and vars(self.accumulator)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Make the cell that `to_json` wrote down."""
        inside = data["accumulator"]
        return cls(**{**data, "accumulator": Accumulator(**inside) if inside else None})

    def _result(self, result: str) -> Message:
        return {"cell_number": self.cell_number, "result": result}
