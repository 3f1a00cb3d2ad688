"""docs/asyncapi.json: valid AsyncAPI 3 that describes what native.v1 encodes and decodes."""

import json
import subprocess
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import best_match

from local import asyncapi, examples
from shared.commands import registry
from shared.protocols import native_v1
from tests.support.programs import skip_without
from tests.unit.docs import new_command

DOCUMENT: dict[str, Any] = asyncapi.document()
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["components"]["messages"]
OFFICIAL_SCHEMAS = "@asyncapi/specs@6.8.0"
"""The npm package in which AsyncAPI publishes its JSON schemas."""

EXAMPLES = [
    pytest.param(name, example["payload"], id=f"{name}: {example['name']}")
    for name, message in MESSAGES.items()
    for example in message["examples"]
]
COMMANDS = [example for example in EXAMPLES if example.values[0] in registry()]
EVENTS = [example for example in EXAMPLES if example.values[0] not in registry()]


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    found = Draft7Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{fault.json_path}: {fault.message}" for fault in found]


def messages_of(channel: str) -> set[str]:
    return set(DOCUMENT["channels"][channel]["messages"])


def official_schema(directory: Path) -> dict[str, Any]:
    """Return the JSON schema of AsyncAPI 3, which npm installs into the directory once."""
    schema = directory / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    if not schema.exists():
        skip_without("npm")
        command = ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts"]
        command += ["--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000"]
        command += ["--prefix", str(directory), OFFICIAL_SCHEMAS]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"npm cannot install {OFFICIAL_SCHEMAS}: {done.stderr[-300:]}")
    return cast(dict[str, Any], json.loads(schema.read_text(encoding="utf-8")))


def test_the_document_is_valid_asyncapi(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    cache = getattr(pytestconfig, "cache", None)  # None: pytest runs with -p no:cacheprovider
    validator = Draft7Validator(official_schema(cache.mkdir("asyncapi") if cache else tmp_path))
    assert best_match(validator.iter_errors(DOCUMENT)) is None
    invalid = json.loads(json.dumps(DOCUMENT))
    invalid["operations"]["sendCommand"]["action"] = "shout"
    assert not validator.is_valid(invalid)


def test_every_reference_resolves() -> None:
    def visit(node: Any) -> None:
        if isinstance(node, dict) and "$ref" in node:
            target: Any = DOCUMENT
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
        for inner in node.values() if isinstance(node, dict) else []:
            visit(inner)
        for inner in node if isinstance(node, list) else []:
            visit(inner)

    visit(DOCUMENT)


def test_the_channels_carry_all_commands_and_all_messages() -> None:
    assert messages_of("commands") == set(registry())
    assert messages_of("events") == {
        "command_result",
        "state_report",
        "cell_event",
        "hello",
        "goodbye",
    }
    assert messages_of("poll") == {"report_state"}
    assert [channel["address"] for channel in DOCUMENT["channels"].values()] == [
        "$devices/{device_id}/events",
        "$devices/{device_id}/commands",
        "$registries/{registry_id}/commands",
    ]


def test_nothing_is_retained_and_everything_is_sent_at_least_once() -> None:
    for operation in DOCUMENT["operations"].values():
        assert operation["bindings"]["mqtt"] == {
            "qos": 1,
            "retain": False,
            "bindingVersion": "0.2.0",
        }


@pytest.mark.parametrize(("name", "payload"), EXAMPLES)
def test_every_example_matches_its_schema(name: str, payload: dict[str, Any]) -> None:
    assert faults(MESSAGES[name]["payload"], payload) == []


@pytest.mark.parametrize(("name", "payload"), EVENTS)
def test_the_codec_understands_every_value_of_every_example(
    name: str, payload: dict[str, Any]
) -> None:
    message, unreadable = native_v1.decode(json.dumps(payload).encode())
    assert message.type == name
    assert unreadable == ()


@pytest.mark.parametrize(("name", "payload"), COMMANDS)
def test_the_codec_encodes_every_example_of_a_command(name: str, payload: dict[str, Any]) -> None:
    envelope = ("v", "command_id", "issued_at", "ttl_s")
    given = {field: value for field, value in payload.items() if field not in envelope}
    encoded = native_v1.encode(
        registry()[name].model_validate(given),
        command_id=UUID(payload["command_id"]),
        issued_at=examples.NOON,
        ttl_s=payload["ttl_s"],
    )
    assert json.loads(encoded) == payload


@pytest.mark.parametrize("command", sorted(registry()))
def test_every_field_of_a_command_is_required(command: str) -> None:
    message = MESSAGES[command]
    payload = message["examples"][0]["payload"]
    for field in payload:
        assert faults(message["payload"], {k: v for k, v in payload.items() if k != field})


@pytest.mark.parametrize(
    "mistake",
    [
        {"battery_charge": 101},
        {"battery_charge": "full"},
        {"battery_charge": 9.5},
        {"accumulator_id": "not an id"},
        {"accumulator_id": 7},
        {"door": "ajar"},
    ],
)
def test_the_schema_rejects_values_that_the_service_does_not_believe(
    mistake: dict[str, Any],
) -> None:
    cell = {"cell_number": 1, "door": "closed", "accumulator_id": "?", "battery_charge": None}
    schema = {"$ref": "#/components/schemas/CellState"}
    assert faults(schema, cell) == []
    assert faults(schema, cell | mistake)


def test_a_new_command_file_is_included_in_the_document(tmp_path: Path) -> None:
    found = new_command.generated_documents(tmp_path)["asyncapi.json"]
    assert new_command.KIND in found["channels"]["commands"]["messages"]
    described = found["components"]["schemas"]["SetChargeLimit"]
    assert described["properties"]["limit"]["maximum"] == 100
    assert set(described["required"]) == {
        *("v", "command_id", "kind", "limit", "issued_at", "ttl_s")
    }
