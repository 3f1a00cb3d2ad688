"""JSON files: a document as the API takes it, or one object a line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools import ToolError
from tools.fleet import columns
from tools.fleet.records import KINDS, Failure, Fault, Kind, Record

_SHAPE = '{"cabinets": […], "accumulators": […]}'


class Document:
    """`{"cabinets": […], "accumulators": […]}`, each object as the API takes it."""

    description = "JSON"
    suffix = ".json"

    def __init__(self, text: str) -> None:
        try:
            content = _parse(text)
        except ValueError as error:
            raise ToolError(f"the file is not valid JSON: {error}") from None
        if not isinstance(content, dict) or not content.keys() & {"cabinets", "accumulators"}:
            raise ToolError(f"the JSON must have the form {_SHAPE}, or be one object a line")
        for name in content.keys() - {"cabinets", "accumulators", "dry_run"}:
            near = columns.suggestion(name, ("cabinets", "accumulators"))
            raise ToolError(f"unknown field {columns.shown(name)}{near}; the form is {_SHAPE}")
        self.records: Sequence[Record] = [
            record for kind in KINDS for record in _section(kind, content.get(f"{kind}s"))
        ]

    def failed(self, failures: Sequence[Failure]) -> str:
        """Return a document with the objects of these failures, each with its `error`."""
        failed = {
            f"{kind}s": [_with_error(one) for one in failures if one.record.kind == kind]
            for kind in KINDS
        }
        return json.dumps(failed, ensure_ascii=False, indent=1) + "\n"


class Lines:
    """JSON Lines: an object a line."""

    description = "JSON Lines"
    suffix = ".jsonl"

    def __init__(self, text: str) -> None:
        self.records: Sequence[Record] = [
            _line(number, line)
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip()
        ]

    def failed(self, failures: Sequence[Failure]) -> str:
        """Return a line for the object of each of these failures, with its `error`."""
        lines = [json.dumps(_with_error(failure), ensure_ascii=False) for failure in failures]
        return "".join(f"{line}\n" for line in lines)


def is_document(text: str) -> bool:
    """Whether a text that begins with a brace is one JSON document, not an object a line."""
    first = text.lstrip().partition("\n")[0]
    try:
        content = _parse(first)
    except ValueError:
        return True  # an object that is broken over several lines, or a mistake in one
    return not (isinstance(content, dict) and content.keys() & {"cabinet_id", "accumulator_id"})


def _section(kind: Kind, found: Any) -> Iterator[Record]:
    if not isinstance(found or [], list):
        raise ToolError(f"{kind}s must be a list of objects; the form is {_SHAPE}")
    for number, content in enumerate(found or []):
        yield _record(f"{kind}s[{number}]", content, kind)


def _line(number: int, line: str) -> Record:
    try:
        content = _parse(line)
    except ValueError as error:
        fault = Fault("", f"this is not valid JSON: {error}")
        return Record(f"line {number}", line, {}, [fault])
    return _record(f"line {number}", content, None)


def _record(where: str, content: Any, kind: Kind | None) -> Record:
    if not isinstance(content, dict):
        fault = Fault("", f"{columns.shown(content)} is not an object")
        return Record(where, content, {}, [fault], kind)
    fields = {name: value for name, value in content.items() if name != columns.ERROR}
    return Record(where, content, fields, kind=kind)


def _with_error(failure: Failure) -> Any:
    source = failure.record.source
    error = "; ".join(map(str, failure.faults))
    return {**(source if isinstance(source, Mapping) else {"source": source}), columns.ERROR: error}


def _parse(text: str) -> Any:
    """Parse JSON; 1.0 is a whole number, as in the API. Raises ValueError."""
    try:
        return json.loads(text, parse_float=_number, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
