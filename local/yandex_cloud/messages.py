"""Copies between requests and resources, by the names of their fields.

A field of a request and the field of the resource that it sets have the same name, except for a
suffix: `config_spec` sets `config`, and `rule_specs` sets `rules`.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_WRAPPERS = {
    f"google.protobuf.{name}Value"
    for name in ("Bool", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
}


def copy(source: Message, target: Message) -> None:
    """Set the fields of `target` from the fields of `source` that correspond to them."""
    for field, _ in source.ListFields():
        copy_field(source, field, target)


def copy_field(source: Message, field: FieldDescriptor, target: Message) -> None:
    """Set the field of `target` that corresponds to `field` of `source`, if there is one."""
    found = corresponding(target.DESCRIPTOR, field.name)
    if found is None:
        return
    value = getattr(source, field.name)
    if _is_map(field):
        _copy_map(value, getattr(target, found.name))
    elif field.is_repeated:
        _copy_list(value, getattr(target, found.name), is_message=field.message_type is not None)
    else:
        _copy_single(source, field, target, found)


def corresponding(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """Return the field of a resource that a request's field sets, or None."""
    singular, plural = name.removesuffix("_spec"), name.removesuffix("_specs") + "s"
    fields: dict[str, FieldDescriptor] = descriptor.fields_by_name
    return (
        fields.get(name)
        or fields.get(singular)
        or (fields.get(plural) if name.endswith("_specs") else None)
    )


def update(source: Message, target: Message, paths: Iterable[str]) -> None:
    """Set the fields of `target` at these paths of an update mask, also to nothing."""
    for path in paths:
        _update_path(source, target, path.split("."))


def _update_path(source: Any, target: Any, path: list[str]) -> None:
    name, rest = path[0], path[1:]
    field = source.DESCRIPTOR.fields_by_name.get(name)
    found = corresponding(target.DESCRIPTOR, name)
    if field is None or found is None:
        return
    if rest and field.message_type and not field.is_repeated:
        _update_path(getattr(source, name), getattr(target, found.name), rest)
        return
    target.ClearField(found.name)
    copy_field(source, field, target)


def _copy_map(values: Any, into: Any) -> None:
    for key in values:
        if isinstance(values[key], Message):
            copy(values[key], into[key])
        else:
            into[key] = values[key]


def _copy_list(values: Any, into: Any, *, is_message: bool) -> None:
    if not is_message:
        into.extend(values)
        return
    for value in values:
        copy(value, into.add())


def _copy_single(
    source: Message, field: FieldDescriptor, target: Message, found: FieldDescriptor
) -> None:
    value = getattr(source, field.name)
    if field.message_type is None:
        if found.message_type is None:
            setattr(target, found.name, value)
        elif found.message_type.full_name in _WRAPPERS:
            getattr(target, found.name).value = value
    elif not source.HasField(field.name):
        return
    elif found.message_type is None:
        setattr(target, found.name, value.value)
    elif found.message_type is field.message_type:
        getattr(target, found.name).CopyFrom(value)
    else:
        getattr(target, found.name).SetInParent()
        copy(value, getattr(target, found.name))


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)
