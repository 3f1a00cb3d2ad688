"""The restrictions on requests that the API declares: required, pattern, length and others."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message
from yandex.cloud import validation_pb2 as options

from local.yandex_cloud.refusals import Refused, invalid

_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_NOT_ENFORCED = {
    "yandex.cloud.mdb.postgresql.v1.CreateClusterRequest.database_specs",
    "yandex.cloud.mdb.postgresql.v1.CreateClusterRequest.user_specs",
}
"""Declared as required, and not sent by the provider's yandex_mdb_postgresql_cluster_v2."""
_NUMBER = r"(-?[\d.]+[dhms]?)"
_RANGE = re.compile(rf"(?:{_NUMBER}-{_NUMBER}|(<=|>=|<|>|=)?{_NUMBER})")


def validate(request: Any) -> None:
    """Raise Refused if the request breaks a restriction.

    Of a request with an update mask, only what it sends has to be valid: nothing else is set.
    """
    is_partial = "update_mask" in request.DESCRIPTOR.fields_by_name and request.update_mask.paths
    _validate(request, (), is_partial=bool(is_partial))


def _validate(message: Message, path: tuple[str, ...], *, is_partial: bool = False) -> None:
    for oneof in message.DESCRIPTOR.oneofs:
        if not is_partial:
            _check_oneof(message, oneof, path)
    for field in message.DESCRIPTOR.fields:
        where = (*path, field.name)
        values = list(_values(message, field))
        if _is_map(field):
            _check_keys(list(getattr(message, field.name)), field, where)
        if values or not is_partial:
            _check_field(field, values, where)
        for value in values:
            if isinstance(value, Message):
                _validate(value, where)


def _values(message: Message, field: FieldDescriptor) -> Iterable[Any]:
    """Return the field's values: one at most, unless it is repeated or a map."""
    value = getattr(message, field.name)
    if _is_map(field):
        return [value[key] for key in value]
    if field.is_repeated:
        return list(value)
    if field.message_type or field.has_presence:
        return [value] if message.HasField(field.name) else []
    return [value] if value else []


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _check_oneof(message: Message, oneof: OneofDescriptor, path: tuple[str, ...]) -> None:
    if oneof.GetOptions().Extensions[options.exactly_one] and not message.WhichOneof(oneof.name):
        names = ", ".join(field.name for field in oneof.fields)
        raise _error((*path, oneof.name), f"one of {names} is required")


def _check_field(field: FieldDescriptor, values: Sequence[Any], path: tuple[str, ...]) -> None:
    declared = field.GetOptions().Extensions
    if not values:
        if declared[options.required] and field.full_name not in _NOT_ENFORCED:
            raise _error(path, "Field is required")
        return
    if field.is_repeated and not _within(len(values), declared[options.size]):
        raise _error(path, f"Number of elements must be {declared[options.size]}")
    for value in values:
        _check_value(value, declared, path)


def _check_keys(keys: list[str], field: FieldDescriptor, path: tuple[str, ...]) -> None:
    declared = field.GetOptions().Extensions[options.map_key]
    for key in keys:
        _check_text(key, declared.pattern, declared.length, path)


def _check_text(text: str | bytes, pattern: str, length: str, path: tuple[str, ...]) -> None:
    if not _within(len(text), length):
        raise _error(path, f"Length must be {length}, but is {len(text)}")
    if isinstance(text, str) and pattern and not re.fullmatch(pattern, text):
        raise _error(path, f'"{text}" does not match the pattern "{pattern}"')


def _check_value(value: Any, declared: Any, path: tuple[str, ...]) -> None:
    if isinstance(value, str | bytes):
        _check_text(value, declared[options.pattern], declared[options.length], path)
    number = _number(value)
    if number is not None and not _within(number, declared[options.value]):
        raise _error(path, f"Value must be {declared[options.value]}, but is {number:g}")


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, Message):
        name = value.DESCRIPTOR.full_name
        if name == "google.protobuf.Duration":
            return float(value.ToTimedelta().total_seconds())
        if re.fullmatch(r"google\.protobuf\.(U?Int\d\d|Double|Float)Value", name):
            return float(value.value)
    return None


def _within(number: float, declared: str) -> bool:
    """Return whether a number is in a declared range, such as `3-63`, `<=50` or `1s-1m`."""
    found = _RANGE.fullmatch(declared)
    if not found:  # nothing is declared, or a range of another kind, such as of times
        return True
    low, high, operator, bound = found.groups()
    if low:
        return _seconds(low) <= number <= _seconds(high)
    limit = _seconds(bound)
    outcomes = {
        "<=": number <= limit,
        ">=": number >= limit,
        "<": number < limit,
        ">": number > limit,
    }
    return outcomes.get(operator, number == limit)


def _seconds(text: str) -> float:
    return float(text[:-1]) * _SECONDS[text[-1]] if text[-1] in _SECONDS else float(text)


def _error(path: tuple[str, ...], reason: str) -> Refused:
    name = ".".join(part.title().replace("_", "") for part in path)
    return invalid(f"Request validation error: {name}: {reason}")
