"""Rules on the form of messages: JSON, fields, types, values, size."""

import json
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from shared.messages import AnyMessage
from shared.protocols.native_v1 import MAX_BYTES
from shared.values import is_empty_reading
from tools.conformance.rules import Rule, Verdict, broken, first_broken, held, unchecked
from tools.conformance.view import Document, Seen, shown, text

_adapter: TypeAdapter[AnyMessage] = TypeAdapter(AnyMessage)
_AROUND = "\ufeff\x00"
_FAILURES = ("jammed", "not_detected", "empty", "occupied", "faulty", "disabled", "unknown_cell")
_RESULTS = frozenset(["opened", "locked", *_FAILURES])
_REASONS = frozenset(["busy", "maintenance", "updating", "alarm", "unknown_command", "invalid"])
_NOTHING_SENT = unchecked("the cabinet has published nothing")
_SHORT = 200
_LISTED = 5


class Fault(NamedTuple):
    """A value that departs from the protocol: which rule it breaks, and a line about it."""

    rule: str
    line: str


def _json(seen: Seen) -> Verdict:
    def faults() -> Iterator[Verdict]:
        for entry, message in seen.published:
            if fault := _json_fault(message.payload):
                yield broken(fault, [entry])

    return _of_messages(seen, faults(), "each payload is exactly one JSON object in UTF-8")


@lru_cache(maxsize=4096)
def _json_fault(payload: bytes) -> str | None:
    try:
        whole = payload.decode()
    except UnicodeDecodeError as error:
        return f"the payload is not UTF-8: {error.reason} at byte {error.start}"
    inner = whole.strip(_AROUND + " \t\r\n")
    if any(char in _AROUND for char in whole.replace(inner, "")):
        names = {"\ufeff": "a byte order mark (BOM)", "\x00": "a NUL byte"}
        found = next(name for char, name in names.items() if char in whole)
        return f"there is {found} before or after the JSON object"
    try:
        document = json.loads(inner, parse_constant=_refuse, object_pairs_hook=_unique)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        return f"a text has half a character: {half} without its other half"
    except ValueError as error:
        return f"the payload is not JSON: {error}"
    except RecursionError:
        return "the payload is not JSON: nested too deeply"
    return None if isinstance(document, dict) else "the payload is JSON, but not an object"


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a JSON number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"the field {twice[0]!r} is there twice")
    return dict(pairs)


def _size(seen: Seen) -> Verdict:
    if not seen.published:
        return _NOTHING_SENT
    largest, message = max(seen.published, key=lambda one: len(one[1].payload))
    size = len(message.payload)
    if size > MAX_BYTES:
        return broken(f"a message has {size} bytes; the limit is {MAX_BYTES}", [largest])
    return held(f"the largest message has {size} bytes of {MAX_BYTES}", largest)


def _faults_of(rule: str, all_right: str) -> Callable[[Seen], Verdict]:
    """Return the check of a rule on values: no message has a fault that belongs to it."""

    def check(seen: Seen) -> Verdict:
        found = (
            broken(f"{one.type or 'a message'}: {fault.line}", [one.entry])
            for one in seen.told
            for fault in faults(one.message.payload)
            if fault.rule == rule
        )
        return _of_messages(seen, found, all_right)

    return check


def _of_messages(seen: Seen, found: Iterable[Verdict], all_right: str) -> Verdict:
    if not seen.published:
        return _NOTHING_SENT
    first = [entry for entry, _ in seen.published[:2]]
    return first_broken(found, held(f"{all_right} ({len(seen.published)} messages)", *first))


_FIELDS = {
    "accumulator_id": "ids",
    "battery_charge": "charges",
    "state_of_health": "charges",
    "door": "doors",
    "result": "words",
    "status": "words",
    "reason": "words",
    "cell_number": "cell-numbers",
    **dict.fromkeys(("v", "type", "boot_id", "seq"), "envelope"),
}
"""The rule that a wrong value of a field breaks; `fields` for the others."""


@lru_cache(maxsize=4096)
def faults(payload: bytes) -> tuple[Fault, ...]:
    """Return where a message departs from the strict form."""
    try:
        document = json.loads(payload.decode(errors="replace").strip(_AROUND + " \t\r\n"))
    except (ValueError, RecursionError):
        return ()
    if not isinstance(document, dict):
        return ()
    found = (*_strict_faults(document), *_word_faults(document), *_id_faults(document))
    return tuple(dict.fromkeys(found))


def _strict_faults(document: Document) -> Iterator[Fault]:
    try:
        _adapter.validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False):
            if one["type"] == "json_invalid":  # NaN, for example: rule json
                continue
            yield _fault(document, one["loc"], one["type"], one.get("input"), one["msg"])


def _fault(document: Document, path: tuple[Any, ...], kind: str, given: Any, said: str) -> Fault:
    names = [str(part) for part in path if isinstance(part, str)]
    known = [name for name in names if name in _FIELDS]
    name = known[-1] if known else (names[-1] if len(names) > 1 else "type")
    where = _cell_of(document, path) + name
    if kind == "missing":
        return Fault(_FIELDS.get(name, "fields"), f"{where} is missing")
    if "twice" in said:
        return Fault("all-cells", "a cell is named twice")
    if name == "type":
        return Fault("envelope", f"type is {shown(document.get('type'))}")
    if _is_almost_whole(given) and kind.startswith("int"):
        return Fault("whole-numbers", f"{where} is {shown(given)}, not an integer")
    why = "" if name == "accumulator_id" else f": {said}"
    return Fault(_FIELDS.get(name, "fields"), f"{where} is {shown(given)}{why}")


def _is_almost_whole(given: Any) -> bool:
    """Whether it is a whole number that was written as a fraction or as a text."""
    if isinstance(given, float):
        return given.is_integer()
    return isinstance(given, str) and given.strip().lstrip("+-").replace(".0", "").isdigit()


def _cell_of(document: Document, path: tuple[Any, ...]) -> str:
    index = next((part for part in path if isinstance(part, int)), None)
    cells = document.get("cells")
    cell = document.get("cell") if "cell" in path else None
    if index is not None and isinstance(cells, list) and index < len(cells):
        cell = cells[index]
    number = cell.get("cell_number") if isinstance(cell, dict) else None
    return "" if number is None else f"cell {shown(number)}: "


def _word_faults(document: Document) -> Iterator[Fault]:
    if document.get("type") != "command_result":
        return
    for cell in _cells(document):
        word = cell.get("result")
        if isinstance(word, str) and word not in _RESULTS:
            number = shown(cell.get("cell_number"))
            yield Fault("words", f"cell {number}: result is {shown(word)}, an unknown word")
    if document.get("status") == "rejected" and document.get("reason") not in _REASONS:
        yield Fault("words", f"reason is {shown(document.get('reason'))}, an unknown word")


def _id_faults(document: Document) -> Iterator[Fault]:
    """Ids that the strict form accepts, but that no reader can have read."""
    for cell in _cells(document):
        label = cell.get("accumulator_id")
        is_result = document.get("type") == "command_result"
        if isinstance(label, str) and is_result and is_empty_reading(label):
            yield Fault("ids", f"accumulator_id is {shown(label)}")


def _cells(document: Document) -> list[Document]:
    listed = document.get("cells")
    given = [*listed] if isinstance(listed, list) else []
    return [cell for cell in [*given, document.get("cell")] if isinstance(cell, dict)]


def _all_cells(seen: Seen) -> Verdict:
    reports = seen.of_type("state_report")
    if not reports:
        return unchecked("the cabinet has sent no state report")
    wanted = set(range(1, seen.target.cells + 1))

    def found() -> Iterator[Verdict]:
        for one in reports:
            numbers = [text(cell.get("cell_number")) for cell in _cells(one.document)]
            twice = sorted({number for number in numbers if numbers.count(number) > 1})
            missing, more = sorted(wanted - set(one.cells)), sorted(set(one.cells) - wanted)
            if 0 in more and missing:
                line = "the cells are counted from 0; the first cell is number 1"
            elif twice:
                line = f"cell {twice[0]} is in the report twice"
            elif missing:
                line = f"the report has no cell {_listed(missing)} of {seen.target.cells}"
            elif more:
                line = f"the report has cell {_listed(more)}; registered are {seen.target.cells}"
            else:
                continue
            yield broken(line, [one.entry])

    every = f"each of {len(reports)} reports has all {seen.target.cells} cells, each once"
    return first_broken(found(), held(every, reports[0].entry))


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:_LISTED])) + (", …" if len(numbers) > _LISTED else "")


_READ = "what-is-understood"

RULES = (
    Rule(
        "json",
        "Each payload is exactly one JSON object in UTF-8",
        "A document that cannot be read is not applied at all.",
        "Send the bytes of the document only: without BOM, without the NUL of a C string (its"
        " length, not its length + 1), cut nowhere, each field once.",
        _READ,
        _json,
    ),
    Rule(
        "envelope",
        "Each message has v, type, boot_id and seq",
        "A message without a usable one of them is not applied at all.",
        'Send "v": 1, a type of the protocol, boot_id as a text of 1 to 64 characters, and seq as'
        " an integer in every message (the last will has no seq).",
        "cabinet--service",
        _faults_of("envelope", "v, type, boot_id and seq are right"),
    ),
    Rule(
        "whole-numbers",
        "Whole numbers are written as integers",
        'The service understands 90.0 and "90"; other readers of the protocol need not.',
        "Write numbers without a point, exponent or quotation marks.",
        _READ,
        _faults_of("whole-numbers", "all whole numbers are integers"),
    ),
    Rule(
        "size",
        "A message has at most 256 KiB",
        "A larger message is not applied; some brokers end the connection.",
        "Send only what the protocol names.",
        "bad-input",
        _size,
    ),
    Rule(
        "all-cells",
        "A state report has all cells, each once, counted from 1",
        "A missing cell becomes unknown: it is neither issued from nor returned into.",
        "Report every cell of the cabinet in every state_report, numbered from 1 as on the doors.",
        "state_report",
        _all_cells,
    ),
    Rule(
        "cell-numbers",
        "Each entry of cells has a cell_number from 1 on",
        "An entry without a valid number is ignored.",
        "Send cell_number as an integer from 1 to 1000.",
        "state_report",
        _faults_of("cell-numbers", "all cell numbers are right"),
    ),
    Rule(
        "ids",
        'accumulator_id is an id in upper case, null for empty, or "?"',
        "An accumulator has one id; null says that a cell is free for a return.",
        "Send the id as it is on the label, in upper case; null only if every sensor says empty;"
        ' "?" if something is there that cannot be read, also for zeros, Fs or blanks.',
        "state_report",
        _faults_of("ids", "all accumulator ids are right"),
    ),
    Rule(
        "charges",
        "battery_charge and state_of_health are integers from 0 to 100, or null",
        "An accumulator with an unknown charge is not issued.",
        "Send whole percents; null or nothing if unknown, never 255 or -1.",
        "state_report",
        _faults_of("charges", "all charges are right"),
    ),
    Rule(
        "doors",
        "door is open, closed or unknown",
        "Another word counts as unknown: the cell is not used.",
        "Send exactly one of the three words, in lower case.",
        "state_report",
        _faults_of("doors", "all doors are right"),
    ),
    Rule(
        "fields",
        "Optional fields have the type that the protocol names",
        "A value that is not understood counts as unknown; the anomaly is kept.",
        "Compare the field with the table of state_report: charging is true or false,"
        " temperature_c a number from -60 to 150, alarms a list of texts, fault a text.",
        "state_report",
        _faults_of("fields", "all optional fields are right"),
    ),
    Rule(
        "words",
        "status, reason and result are words of the protocol",
        "An unknown result counts as a failure: the cell is taken out of use.",
        "Use exactly the words that the protocol lists.",
        "command_result",
        _faults_of("words", "all words of results are known"),
    ),
)
