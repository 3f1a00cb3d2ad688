"""Every registered command meets the requirements of the code that handles all commands."""

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


def test_every_file_in_the_folder_defines_one_command_named_after_it() -> None:
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
def test_a_command_has_a_valid_scope_and_wait(kind: str) -> None:
    cls = registry()[kind]
    assert cls.scope in get_args(Scope)
    assert cls.wait_seconds is None or cls.wait_seconds > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_is_json_that_restores_the_command(kind: str) -> None:
    command = example(kind)
    stored = json.loads(json.dumps(command.payload()))
    assert "kind" not in stored
    assert registry()[kind].model_validate({"kind": kind, **stored}) == command


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_refuses_unknown_fields(kind: str) -> None:
    with pytest.raises(ValidationError, match="colour"):
        registry()[kind].model_validate({**examples.COMMANDS[kind], "colour": "red"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", sorted(codecs()))
def test_every_protocol_encodes_every_command(kind: str, protocol: str) -> None:
    command_id = UUID(int=1)
    payload = codecs()[protocol].encode(
        example(kind), command_id=command_id, issued_at=NOON, ttl_s=15
    )
    assert str(command_id).encode() in payload


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_request_with_a_reason_is_valid(kind: str) -> None:
    asked = {**examples.COMMANDS[kind], "reason": "the door is stuck"}
    request = REQUEST.validate_python(asked)
    assert request.reason == "the door is stuck"
    assert request.scope == registry()[kind].scope
    assert request.command() == example(kind)
    assert type(request.command()) is registry()[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_request_requires_a_reason(kind: str) -> None:
    with pytest.raises(ValidationError, match="reason"):
        REQUEST.validate_python(examples.COMMANDS[kind])


@pytest.mark.parametrize("kind", [k for k in KINDS if registry()[k].cell_result])
@pytest.mark.parametrize(
    "cells", [[], [0], [1001], ["1"], [True], [1.5], "1", None, list(range(1, 52))], ids=str
)
def test_a_command_names_1_to_50_cells(kind: str, cells: Any) -> None:
    with pytest.raises(ValidationError):
        registry()[kind].model_validate({"kind": kind, "cells": cells})
