"""Every command of the registry keeps the promises that everything common stands on."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

import shared.commands
from local import examples
from shared.api import Scope
from shared.api.commands import CommandRequest
from shared.commands import Command, registry
from shared.protocols import codecs

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
KINDS = sorted(registry())
REQUEST: TypeAdapter[Any] = TypeAdapter(CommandRequest)


def example(kind: str) -> Command:
    return registry()[kind].model_validate(examples.COMMANDS[kind])


def test_every_file_of_the_folder_is_one_command_of_its_name() -> None:
    folder = Path(shared.commands.__file__).parent
    assert sorted(path.stem for path in folder.glob("*.py")) == sorted(["__init__", *KINDS])
    assert all(cls.__module__.endswith(f".{kind}") for kind, cls in registry().items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_is_named_after_its_kind(kind: str) -> None:
    cls = registry()[kind]
    assert cls.__name__ == kind.title().replace("_", "")
    assert cls.__doc__
    assert cls.__doc__ != Command.__doc__
    with pytest.raises(ValidationError, match="kind"):
        cls.model_validate({**examples.COMMANDS[kind], "kind": "another"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_has_a_scope_and_a_wait_that_exist(kind: str) -> None:
    cls = registry()[kind]
    assert cls.scope in get_args(Scope)
    assert cls.wait_seconds is None or cls.wait_seconds > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_is_json_and_makes_the_same_command_again(kind: str) -> None:
    command = example(kind)
    stored = json.loads(json.dumps(command.payload()))
    assert "kind" not in stored
    assert registry()[kind].model_validate({"kind": kind, **stored}) == command


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_refuses_fields_that_it_does_not_know(kind: str) -> None:
    with pytest.raises(ValidationError, match="colour"):
        registry()[kind].model_validate({**examples.COMMANDS[kind], "colour": "red"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", sorted(codecs()))
def test_every_protocol_can_say_every_command(kind: str, protocol: str) -> None:
    command_id = UUID(int=1)
    payload = codecs()[protocol].encode(
        example(kind), command_id=command_id, issued_at=NOON, ttl_s=15
    )
    assert str(command_id).encode() in payload


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_can_be_asked_for_with_a_reason(kind: str) -> None:
    asked = {**examples.COMMANDS[kind], "reason": "the door is stuck"}
    request = REQUEST.validate_python(asked)
    assert request.reason == "the door is stuck"
    assert request.scope == registry()[kind].scope
    assert request.command() == example(kind)
    assert type(request.command()) is registry()[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_cannot_be_asked_for_without_a_reason(kind: str) -> None:
    with pytest.raises(ValidationError, match="reason"):
        REQUEST.validate_python(examples.COMMANDS[kind])


@pytest.mark.parametrize("kind", [k for k in KINDS if registry()[k].cell_result])
@pytest.mark.parametrize(
    "cells", [[], [0], [1001], ["1"], [True], [1.5], "1", None, list(range(1, 52))], ids=str
)
def test_the_cells_of_a_command_are_one_to_fifty_numbers(kind: str, cells: Any) -> None:
    with pytest.raises(ValidationError):
        registry()[kind].model_validate({"kind": kind, "cells": cells})
