"""Accumulators and cells: doors, locks and sensors, each of which may fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

SECONDS_PER_PERCENT = 150  # an empty accumulator is full after a little more than four hours

Message = dict[str, Any]


class ActionImpossible(ValueError):
    """The action is not possible in the present state; the message says why."""


@dataclass(frozen=True)
class Accumulator:
    """A physical accumulator: moved between cells and bags, never copied."""

    accumulator_id: str
    battery_charge: int | None = None
    state_of_health: int | None = None
    readable: bool = True
    lower_case: bool = False  # its electronics report the id in lower case


@dataclass
class Cell:
    """The physical state of a cell. `senses`: values that broken sensors report instead of it."""

    cell_number: int
    accumulator: Accumulator | None = None
    door: Literal["open", "closed"] = "closed"
    lock: Literal["ok", "jammed", "stuck"] = "ok"  # stuck: the bolt moves, the door does not
    disabled: bool = False  # by hand, at the cabinet; only the result of an unlock shows it
    fault: str | None = None  # as the cabinet reports it
    temperature_c: float = 24.5
    senses: dict[str, Any] = field(default_factory=dict)
    openings: int = 0  # by command
    loosened_by: str | None = None  # the command that failed to open it: it can be pulled open
    charging_s: float = 0.0  # towards the next percent

    @property
    def charging(self) -> bool:
        """Whether it charges: a closed, healthy cell with an accumulator that is not full."""
        charge = self.accumulator.battery_charge if self.accumulator else None
        idle = self.door == "open" or self.disabled or self.fault is not None
        return not idle and charge is not None and 0 <= charge < 100  # noqa: PLR2004 - percent

    def sensor_readings(self) -> Message:
        """Return the cell as its sensors show it, in the protocol's fields."""
        accumulator = self.accumulator
        readings: Message = {
            "cell_number": self.cell_number,
            "door": self.door,
            "accumulator_id": None,
            "temperature_c": self.temperature_c,
        }
        if accumulator and not accumulator.readable:
            readings["accumulator_id"] = "?"
        elif accumulator and self.senses.get("accumulator_id", "") not in (None, "?"):
            label = accumulator.accumulator_id
            readings["accumulator_id"] = label.lower() if accumulator.lower_case else label
            readings["battery_charge"] = accumulator.battery_charge
            readings["charging"] = self.charging
            if accumulator.state_of_health is not None:
                readings["state_of_health"] = accumulator.state_of_health
        if self.fault is not None:
            readings["fault"] = self.fault
        return readings | self.senses

    def unlock(self, command_id: str) -> Message:
        """Release the lock; return the result as the sensors show it."""
        if self.disabled:
            return self._result("disabled")
        if self.fault is not None:
            return self._result("faulty")
        self.openings += 1
        if self.door == "closed" and self.lock != "ok":
            self.loosened_by = command_id
        if self.lock == "jammed":
            return self._result("jammed")
        if self.lock == "ok":
            self.door = "open"
        if self.sensor_readings()["door"] != "open":
            return self._result("not_detected")
        return self.opened_result()

    def opened_result(self) -> Message:
        """Return the result of a command that opened the door."""
        readings = self.sensor_readings()
        fields = ("accumulator_id", "battery_charge")
        return self._result("opened") | {key: readings[key] for key in fields if key in readings}

    def engage_lock(self) -> Message:
        """Lock the door if the sensor shows it closed; return the result."""
        if self.lock == "jammed":
            return self._result("jammed")
        is_closed = self.sensor_readings()["door"] == "closed"
        if is_closed:
            self.loosened_by = None
        return self._result("locked" if is_closed else "not_detected")

    def charge(self, seconds: float) -> None:
        """Charge the accumulator for this time, if it charges."""
        if self.accumulator is None or not self.charging:
            return
        percent, self.charging_s = divmod(self.charging_s + seconds, SECONDS_PER_PERCENT)
        charge = min(100, (self.accumulator.battery_charge or 0) + int(percent))
        self.accumulator = replace(self.accumulator, battery_charge=charge)

    def to_json(self) -> Message:
        """Return all fields; a hundred times as fast as `asdict`."""
        return {**vars(self), "accumulator": self.accumulator and vars(self.accumulator)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the cell that `to_json` was called on."""
        inside = data["accumulator"]
        return cls(**{**data, "accumulator": Accumulator(**inside) if inside else None})

    def _result(self, result: str) -> Message:
        return {"cell_number": self.cell_number, "result": result}
