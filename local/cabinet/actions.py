"""The actions on a simulated cabinet: one function for each.

Its name and parameters are the interface: the command line and the HTTP bodies are made from them.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, validate_call

from local.cabinet.device import Device
from local.cabinet.fleet import DEFAULT_BAG, Fleet
from local.cabinet.hardware import ActionImpossible, Firmware, Hardware

Lock = Literal["ok", "jammed", "stuck"]
ReplyMode = Literal[
    "normal", "once", "late", "twice", "never", "corrupt", "foreign", "deaf", "held", "release"
]

_firmware = TypeAdapter(Firmware)


def close(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Close the door of a cell."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.close_door(cell))
    return f"cell {cell} of {cabinet_id} is closed"


def take(fleet: Fleet, cabinet_id: str, /, cell: int, *, by: str = DEFAULT_BAG) -> str:
    """Take the accumulator out of an open cell, into a bag."""
    taken = fleet.take(cabinet_id, cell, by=by)
    return f"{by} took {taken.accumulator_id} ({taken.battery_charge} %) out of cell {cell}"


def insert(  # noqa: PLR0913 - the signature is the interface
    fleet: Fleet,
    cabinet_id: str,
    /,
    cell: int,
    accumulator: str,
    *,
    by: str = DEFAULT_BAG,
    charge: int | None = None,
) -> str:
    """Put an accumulator from a bag into an open cell. An unknown id comes from a scooter."""
    put = fleet.insert(cabinet_id, cell, accumulator, by=by, battery_charge=charge)
    return f"{by} put {put.accumulator_id} ({put.battery_charge} %) into cell {cell}"


def duplicate(fleet: Fleet, _cabinet_id: str, /, accumulator: str, *, by: str = DEFAULT_BAG) -> str:
    """Put another accumulator with this id into a bag."""
    fleet.duplicate(accumulator, by=by)
    return f"{by} carries another {accumulator}"


def pry(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Open a door by force, without a command."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.pry_open(cell))
    return f"cell {cell} of {cabinet_id} was forced open"


def pull(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Pull open a door that an unlock reported as jammed or not detected."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.pull_open(cell))
    return f"cell {cell} of {cabinet_id} was pulled open"


def jam(fleet: Fleet, cabinet_id: str, /, cell: int, how: Lock = "jammed") -> str:
    """Jam a lock. With `stuck` the bolt moves, but the door stays closed."""

    def jam_lock(hardware: Hardware) -> None:
        hardware.cell(cell).lock = how

    fleet.by_id[cabinet_id].act(jam_lock)
    return f"the lock of cell {cell} is {how}"


def unjam(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Repair a lock."""
    return jam(fleet, cabinet_id, cell, "ok")


def fault(fleet: Fleet, cabinet_id: str, /, cell: int, code: str | None = None) -> str:
    """Make the cabinet report a fault of a cell; without a code, repair it."""

    def set_fault(hardware: Hardware) -> None:
        hardware.cell(cell).fault = code

    fleet.by_id[cabinet_id].act(set_fault)
    return f"cell {cell} reports the fault {code}" if code else f"cell {cell} reports no fault"


def disable(fleet: Fleet, cabinet_id: str, /, cell: int, *, over: bool = False) -> str:
    """Disable a cell by hand at the cabinet; --over: enable it."""

    def set_disabled(hardware: Hardware) -> None:
        hardware.cell(cell).disabled = not over

    fleet.by_id[cabinet_id].act(set_disabled)
    return f"cell {cell} is {'enabled' if over else 'disabled'}"


def sense(fleet: Fleet, cabinet_id: str, /, cell: int, field: str, value: str | None = None) -> str:
    """Make a sensor report this JSON value or word as FIELD; without a value, repair it."""

    def break_sensor(hardware: Hardware) -> None:
        senses = hardware.cell(cell).senses
        if value is None:
            senses.pop(field, None)
        else:
            senses[field] = _json_or_word(value)

    fleet.by_id[cabinet_id].act(break_sensor)
    told = f"the real {field}" if value is None else f"{field} = {value}"
    return f"cell {cell}: the sensor reports {told}"


def alarm(fleet: Fleet, cabinet_id: str, /, code: str, *, over: bool = False) -> str:
    """Raise an alarm; --over: clear it."""

    def set_alarm(hardware: Hardware) -> None:
        (hardware.alarms.discard if over else hardware.alarms.add)(code)

    fleet.by_id[cabinet_id].act(set_alarm)
    return f"{cabinet_id}: alarm {code} is {'cleared' if over else 'raised'}"


def charge(fleet: Fleet, cabinet_id: str, /, minutes: float) -> str:
    """Charge all accumulators as if these minutes had passed."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.charge(minutes * 60))
    return f"{cabinet_id} charged for {minutes:g} minutes"


def firmware(fleet: Fleet, cabinet_id: str, /, switch: str, value: Any) -> str:
    """Set a switch of the firmware to a JSON value or word, for example: refuses busy."""

    def install(hardware: Hardware) -> None:
        switches = asdict(hardware.firmware)
        if switch not in switches:
            raise ActionImpossible(f"there is no switch {switch}; there are {', '.join(switches)}")
        changed = switches | {switch: _json_or_word(value)}
        hardware.firmware = _firmware.validate_python(changed)

    fleet.by_id[cabinet_id].act(install)
    return f"{cabinet_id}: firmware {switch} is {value}"


def clock(fleet: Fleet, cabinet_id: str, /, seconds: float) -> str:
    """Set the cabinet's clock ahead by these seconds; behind, if negative."""

    def skew(hardware: Hardware) -> None:
        hardware.clock_skew_s = seconds

    fleet.by_id[cabinet_id].act(skew)
    return f"the clock of {cabinet_id} is {seconds:g} s ahead"


def offline(fleet: Fleet, cabinet_id: str, /) -> str:
    """Cut the network: commands are lost, the cabinet's own messages wait."""
    fleet.by_id[cabinet_id].disconnect()
    return f"{cabinet_id} is offline"


def online(fleet: Fleet, cabinet_id: str, /) -> str:
    """Restore the network."""
    fleet.by_id[cabinet_id].reconnect()
    return _when_online(fleet.by_id[cabinet_id], "online")


def reboot(fleet: Fleet, cabinet_id: str, /) -> str:
    """Reboot the cabinet."""
    fleet.by_id[cabinet_id].reboot()
    return _when_online(fleet.by_id[cabinet_id], "rebooted")


def answer(fleet: Fleet, cabinet_id: str, /, how: ReplyMode, seconds: float = 5) -> str:
    """Set how it replies to commands; late: after these seconds; release: send held replies."""
    device = fleet.by_id[cabinet_id]
    if how == "held":
        device.hold()
    elif how == "release":
        return f"{cabinet_id} released {device.release()} replies"
    else:
        device.reply_delay_s = seconds if how == "late" else 0.0
        device.reply_mode = "once" if how in ("normal", "late") else how
    return f"{cabinet_id} replies: {how}" + (f", after {seconds:g} s" if how == "late" else "")


def say(fleet: Fleet, cabinet_id: str, /, text: str) -> str:
    """Send a text as the cabinet's event; it need not be JSON."""
    payload = text.encode()
    fleet.by_id[cabinet_id].send_raw(payload)
    return f"{cabinet_id} sent {len(payload)} bytes"


def report(fleet: Fleet, cabinet_id: str, /) -> str:
    """Send a state report."""
    fleet.by_id[cabinet_id].report()
    return f"{cabinet_id} reported its state"


def _when_online(device: Device, state: str) -> str:
    if not device.wait_online():
        raise ActionImpossible(f"{device.device_id} cannot reach the broker")
    return f"{device.device_id} is {state}"


def _json_or_word(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


ACTIONS: dict[str, Callable[..., str]] = {
    action.__name__: validate_call(config=ConfigDict(arbitrary_types_allowed=True))(action)
    for action in (
        *(close, take, insert, duplicate, pry, pull, jam, unjam, fault, disable, sense),
        *(alarm, charge, firmware, clock, offline, online, reboot, answer, say, report),
    )
}
