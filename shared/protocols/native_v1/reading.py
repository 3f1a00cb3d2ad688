"""Lenient reading: turns a document that departs from the contract into a message's fields.

A bad value makes its field unknown, a bad cell makes that cell unknown, and a bad document is
refused. An unknown value never makes a cell usable. `MESSAGES`, `CELL` and `CELL_RESULT` have the
rule of each field; docs/protocol.md, "What is understood", describes them.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from shared.protocols import Undecodable, UnreadableValue
from shared.values import is_empty_reading

MAX_UNREADABLE = 100
"""How many unreadable values of one message are reported."""
MAX_TEXT = 64
"""Longest text, in characters."""
MAX_ALARMS = 100

AROUND = " \t\r\n\v\f\x00\ufeff"
_WHOLE_OR_FRACTION = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

Fields = dict[str, Any]


class Value(NamedTuple):
    """The value that a field gets, and whether the value that was sent is understood."""

    value: Any
    is_understood: bool = True


UNKNOWN = Value(None, is_understood=False)
MISSING = object()
Rule = Callable[[Any], Value]
"""Reads the value of a field. A missing field is None; a missing `accumulator_id`, `MISSING`."""


def parse(payload: bytes) -> Fields:
    """Return the JSON object in `payload`. Raises Undecodable."""
    try:
        text = payload.decode().strip(AROUND)
        document = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=float)
    except RecursionError:
        raise Undecodable("not JSON: nested too deeply") from None
    except ValueError as error:
        raise Undecodable(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Undecodable(f"not a JSON object: {_shown(document)}")
    return document


class Reader:
    """Reads one document; collects what it does not understand in `unreadable`."""

    def __init__(self) -> None:
        self.unreadable: list[UnreadableValue] = []

    def message(self, document: Fields) -> Fields:
        """Return the fields of the message as far as they are understood. Raises Undecodable."""
        type_ = document.get("type")
        rules = MESSAGES.get(type_) if isinstance(type_, str) else None
        if rules is None:
            raise Undecodable(f"type: {_shown(type_)} is not a type of message")
        message = {"type": type_, **self._fields(rules, document)}
        if "cells" in message:
            rules = CELL_RESULT if type_ == "command_result" else CELL
            message["cells"] = self._cells(rules, message["cells"])
        if type_ == "cell_event":
            message["cell"] = next(iter(self._cells(CELL, [document.get("cell")])), None)
        if type_ == "command_result" and message["cells"]:
            message["status"] = message["status"] or "done"
        return message

    def _fields(self, rules: Mapping[str, Rule], given: Fields, cell: int | None = None) -> Fields:
        fields = {}
        for name, rule in rules.items():
            fields[name], is_understood = rule(given.get(name))
            if not is_understood:
                self._add(cell, name, given.get(name))
        return fields

    def _cells(self, rules: Mapping[str, Rule], entries: list[Any]) -> list[Fields]:
        """Read cells. A cell that is reported twice with different values is left out."""
        cells: dict[int, Fields] = {}
        contradicted = set()
        for entry in entries:
            given = entry if isinstance(entry, dict) else {}
            if rules is CELL:  # without an accumulator_id, a cell is not empty but unreadable
                given = {"accumulator_id": MISSING, **given}
            number = _cell_number(given.get("cell_number")).value
            if number is None:
                self._add(None, "cell_number", given.get("cell_number"))
                continue
            cell = {"cell_number": number, **self._fields(rules, given, number)}
            if cells.setdefault(number, cell) != cell:
                contradicted.add(number)
        for number in sorted(contradicted):
            del cells[number]
            self._add(number, "cell_number", "twice, with different values")
        return list(cells.values())

    def _add(self, cell: int | None, field: str, given: Any) -> None:
        if len(self.unreadable) < MAX_UNREADABLE:
            self.unreadable.append(UnreadableValue(cell, field, _shown(given)))


def _shown(given: Any) -> str:
    """Return a value for people to read."""
    if isinstance(given, dict | list):
        return "an object" if isinstance(given, dict) else "a list"
    return "missing" if given is MISSING else repr(given)[:100]


# --- Rules --------------------------------------------------------------------------------------


def _number(literal: str) -> int | float:
    """Return a JSON number: an int if it is a whole one, however it is written."""
    try:
        number = Decimal(literal)
    except ArithmeticError:  # its exponent is too large
        return float(literal)
    if number.adjusted() < MAX_TEXT and number == number.to_integral_value():
        return int(number)
    return float(number)


def _numeric(given: Any) -> int | float | None:
    """Return a number, also one that was sent as a text; None for anything else."""
    if isinstance(given, str):
        text = given.strip(AROUND)
        matches = len(text) <= MAX_TEXT and _WHOLE_OR_FRACTION.fullmatch(text)
        return _number(text) if matches else None
    return given if isinstance(given, int | float) and not isinstance(given, bool) else None


def _whole(low: int, high: int) -> Rule:
    def rule(given: Any) -> Value:
        number = _numeric(given)
        return Value(number) if isinstance(number, int) and low <= number <= high else UNKNOWN

    return rule


def _optional(rule: Rule) -> Rule:
    return lambda given: Value(None) if given is None else rule(given)


def _otherwise(default: Any, rule: Rule) -> Rule:
    """Use `default` for a value that is not understood."""

    def rule_with_default(given: Any) -> Value:
        value = rule(given)
        return value if value.is_understood else Value(default, is_understood=False)

    return rule_with_default


def _one_of(*words: str) -> Rule:
    return lambda given: Value(given) if isinstance(given, str) and given in words else UNKNOWN


def _text(given: Any) -> Value:
    """Return a short text; a whole number is read as its digits."""
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    is_text = isinstance(text, str) and 0 < len(text) <= MAX_TEXT and _is_storable(text)
    return Value(text) if is_text else UNKNOWN


def _word(given: Any) -> Value:
    """Return any scalar as a text, cut to its limit."""
    text = given if isinstance(given, str) else None
    if isinstance(given, int | float):
        text = json.dumps(given)
    return Value(text[:MAX_TEXT]) if text and _is_storable(text) else UNKNOWN


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text: it has no NUL and no lone surrogate."""
    return not any(char == "\x00" or "\ud800" <= char <= "\udfff" for char in text)


def _sent_at(given: Any) -> Value:
    """Return a text, or None for anything else: nothing depends on it, so nothing is reported."""
    return Value(_text(given).value if isinstance(given, str) else None)


def _fault(given: Any) -> Value:
    is_none = given is None or given == "" or (isinstance(given, int) and given == 0)
    return Value(None) if is_none else _otherwise("unreadable", _word)(given)


def _alarms(given: Any) -> Value:
    read = [_fault(alarm) for alarm in (given if isinstance(given, list) else [given])]
    alarms = [alarm.value for alarm in read if alarm.value is not None]
    return Value(alarms[:MAX_ALARMS], all(alarm.is_understood for alarm in read))


def _percent(given: Any) -> Value:
    """Return a percentage, rounded down."""
    number = _numeric(given)
    is_percent = number is not None and 0 <= number <= 100  # noqa: PLR2004 - percent
    return Value(math.floor(number)) if number is not None and is_percent else UNKNOWN


def _accumulator_id(given: Any) -> Value:
    """Return an id in upper case, None (empty), or "?" (something is there that cannot be read)."""
    if given is None:
        return Value(None)
    if isinstance(given, bool) or not isinstance(given, int | str):
        return Value("?", is_understood=False)
    text = str(given).strip(AROUND)
    if text == "?" or is_empty_reading(text):
        return Value("?")
    return Value(text.upper()) if _ID.fullmatch(text) else Value("?", is_understood=False)


def _temperature(given: Any) -> Value:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return Value(float(given)) if is_number and -60 <= given <= 150 else UNKNOWN  # noqa: PLR2004 - Celsius


def _boolean(given: Any) -> Value:
    return Value(given) if isinstance(given, bool) else UNKNOWN


def _list(given: Any) -> Value:
    return Value(given) if isinstance(given, list) else Value([], is_understood=False)


_cell_number = _whole(1, 1000)

CELL: dict[str, Rule] = {
    "door": _otherwise("unknown", _one_of("open", "closed", "unknown")),
    "accumulator_id": _accumulator_id,
    "battery_charge": _optional(_percent),
    "state_of_health": _optional(_percent),
    "charging": _optional(_boolean),
    "temperature_c": _optional(_temperature),
    "fault": _fault,
}
CELL_RESULT: dict[str, Rule] = {
    "result": _otherwise("unreadable", _word),
    "accumulator_id": _accumulator_id,
    "battery_charge": _optional(_percent),
}
_EVERY: dict[str, Rule] = {
    "v": _whole(1, 1),
    "boot_id": _text,
    "sent_at": _sent_at,
}
_NUMBERED: dict[str, Rule] = {**_EVERY, "seq": _whole(0, 2**63 - 1)}
MESSAGES: dict[str, dict[str, Rule]] = {
    "command_result": {
        **_NUMBERED,
        "command_id": _text,
        "status": _one_of("done", "rejected", "expired"),
        "reason": _optional(_word),
        "cells": lambda given: _list([] if given is None else given),
    },
    "state_report": {
        **_NUMBERED,
        "command_id": _optional(_text),
        "alarms": _alarms,
        "cells": _list,
    },
    "cell_event": _NUMBERED,
    "hello": {
        **_NUMBERED,
        "firmware": _optional(_word),
        "cells_total": _optional(_whole(0, 100_000)),
        "session": _optional(_text),
    },
    "goodbye": {**_EVERY, "session": _optional(_text)},
}
