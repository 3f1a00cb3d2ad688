"""What can be done to a simulated cabinet from outside: one function is one action.

Its signature is its interface: the command line and the HTTP bodies are made from it.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, validate_call

from local.cabinet.device import Device
from local.cabinet.fleet import DEFAULT_BAG, Fleet
from local.cabinet.hardware import Firmware, Hardware, Impossible

Lock = Literal["ok", "jammed", "stuck"]
Answer = Literal[
    "normal", "once", "late", "twice", "never", "corrupt", "foreign", "deaf", "held", "release"
]

_firmware = TypeAdapter(Firmware)


def close(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Push the door of a cell shut."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.close_door(cell))
    return f"cell {cell} of {cabinet_id} is closed"


def take(fleet: Fleet, cabinet_id: str, /, cell: int, *, by: str = DEFAULT_BAG) -> str:
    """Take the accumulator out of an open cell into a bag."""
    one = fleet.take(cabinet_id, cell, by=by)
    return f"{by} took {one.accumulator_id} ({one.battery_charge} %) out of cell {cell}"


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
    """Put an accumulator from a bag into an open cell; a new id comes from a scooter."""
    one = fleet.insert(cabinet_id, cell, accumulator, by=by, battery_charge=charge)
    return f"{by} put {one.accumulator_id} ({one.battery_charge} %) into cell {cell}"


def duplicate(fleet: Fleet, _cabinet_id: str, /, accumulator: str, *, by: str = DEFAULT_BAG) -> str:
    """Put one more accumulator that bears this id into a bag."""
    fleet.duplicate(accumulator, by=by)
    return f"{by} carries another {accumulator}"


def pry(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Break a door open without any command."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.pry_open(cell))
    return f"cell {cell} of {cabinet_id} is broken open"


def jam(fleet: Fleet, cabinet_id: str, /, cell: int, how: Lock = "jammed") -> str:
    """Jam a lock; stuck: its bolt moves, but the door stays shut."""

    def jam_lock(hardware: Hardware) -> None:
        hardware.cell(cell).lock = how

    fleet.by_id[cabinet_id].act(jam_lock)
    return f"the lock of cell {cell} is {how}"


def unjam(fleet: Fleet, cabinet_id: str, /, cell: int) -> str:
    """Mend a lock."""
    return jam(fleet, cabinet_id, cell, "ok")


def fault(fleet: Fleet, cabinet_id: str, /, cell: int, code: str | None = None) -> str:
    """Make the cabinet report a fault of a cell; without a code it is mended."""

    def set_fault(hardware: Hardware) -> None:
        hardware.cell(cell).fault = code

    fleet.by_id[cabinet_id].act(set_fault)
    return f"cell {cell} reports the fault {code}" if code else f"cell {cell} reports no fault"


def disable(fleet: Fleet, cabinet_id: str, /, cell: int, *, over: bool = False) -> str:
    """Switch a cell off by hand at the cabinet; --over: on again."""

    def switch(hardware: Hardware) -> None:
        hardware.cell(cell).disabled = not over

    fleet.by_id[cabinet_id].act(switch)
    return f"cell {cell} is switched {'on' if over else 'off'}"


def sense(fleet: Fleet, cabinet_id: str, /, cell: int, field: str, value: str | None = None) -> str:
    """Break a sensor: of that field it says this JSON value or word; without one it is mended."""

    def break_sensor(hardware: Hardware) -> None:
        senses = hardware.cell(cell).senses
        if value is None:
            senses.pop(field, None)
        else:
            senses[field] = _json_or_word(value)

    fleet.by_id[cabinet_id].act(break_sensor)
    return f"cell {cell} senses {field}: {'the truth' if value is None else value}"


def alarm(fleet: Fleet, cabinet_id: str, /, code: str, *, over: bool = False) -> str:
    """Raise an alarm; --over: end it."""

    def set_alarm(hardware: Hardware) -> None:
        (hardware.alarms.discard if over else hardware.alarms.add)(code)

    fleet.by_id[cabinet_id].act(set_alarm)
    return f"{cabinet_id}: alarm {code} {'is over' if over else 'is raised'}"


def charge(fleet: Fleet, cabinet_id: str, /, minutes: float) -> str:
    """Let so many minutes of charging pass at once."""
    fleet.by_id[cabinet_id].act(lambda hardware: hardware.charge(minutes * 60))
    return f"{cabinet_id} charged for {minutes:g} minutes"


def firmware(fleet: Fleet, cabinet_id: str, /, switch: str, value: Any) -> str:
    """Set a switch of the firmware to a JSON value or word, as in: refuses busy."""

    def install(hardware: Hardware) -> None:
        known = asdict(hardware.firmware)
        if switch not in known:
            raise Impossible(f"there is no switch {switch}; there are {', '.join(known)}")
        wanted = known | {switch: _json_or_word(value)}
        hardware.firmware = _firmware.validate_python(wanted)

    fleet.by_id[cabinet_id].act(install)
    return f"{cabinet_id}: firmware {switch} is {value}"


def clock(fleet: Fleet, cabinet_id: str, /, seconds: float) -> str:
    """Set the cabinet's clock so far ahead of the right time, or behind it."""

    def skew(hardware: Hardware) -> None:
        hardware.clock_skew_s = seconds

    fleet.by_id[cabinet_id].act(skew)
    return f"the clock of {cabinet_id} is {seconds:g} s ahead"


def offline(fleet: Fleet, cabinet_id: str, /) -> str:
    """Lose the network: commands are lost, the cabinet's own messages wait."""
    fleet.by_id[cabinet_id].disconnect()
    return f"{cabinet_id} is offline"


def online(fleet: Fleet, cabinet_id: str, /) -> str:
    """Find the network again."""
    fleet.by_id[cabinet_id].reconnect()
    return _when_online(fleet.by_id[cabinet_id], "online")


def reboot(fleet: Fleet, cabinet_id: str, /) -> str:
    """Power off and on."""
    fleet.by_id[cabinet_id].reboot()
    return _when_online(fleet.by_id[cabinet_id], "up again")


def answer(fleet: Fleet, cabinet_id: str, /, how: Answer, seconds: float = 5) -> str:
    """Answer commands so from now on; late: by so many seconds; release: what was held."""
    device = fleet.by_id[cabinet_id]
    if how == "held":
        device.hold()
    elif how == "release":
        return f"{cabinet_id} released {device.release()} replies"
    else:
        device.delay_s = seconds if how == "late" else 0.0
        device.answer = "once" if how in ("normal", "late") else how
    return f"{cabinet_id} answers: {how}" + (f", by {seconds:g} s" if how == "late" else "")


def say(fleet: Fleet, cabinet_id: str, /, text: str) -> str:
    """Send this text as the cabinet's event, whatever it is."""
    fleet.by_id[cabinet_id].say_raw(text.encode())
    return f"{cabinet_id} said {len(text.encode())} bytes"


def report(fleet: Fleet, cabinet_id: str, /) -> str:
    """Send a state report unasked."""
    fleet.by_id[cabinet_id].report()
    return f"{cabinet_id} reported its state"


def _when_online(device: Device, state: str) -> str:
    if not device.wait_online():
        raise Impossible(f"{device.device_id} tries, but cannot reach the broker")
    return f"{device.device_id} is {state}"


def _json_or_word(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


ACTIONS: dict[str, Callable[..., str]] = {
    action.__name__: validate_call(config=ConfigDict(arbitrary_types_allowed=True))(action)
    for action in (
        *(close, take, insert, duplicate, pry, jam, unjam, fault, disable, sense),
        *(alarm, charge, firmware, clock, offline, online, reboot, answer, say, report),
    )
}
