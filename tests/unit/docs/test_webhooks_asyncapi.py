"""docs/webhooks.asyncapi.json describes what webhooks send."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import best_match

from local import event_examples, webhooks_asyncapi
from shared.models.events import TYPES
from shared.webhooks import cloud_events
from tests.unit.docs.test_asyncapi import official_schema

DOCUMENT: dict[str, Any] = webhooks_asyncapi.document()
MESSAGES: dict[str, dict[str, Any]] = DOCUMENT["components"]["messages"]
EXAMPLES = [
    pytest.param(message, example["payload"], id=example["name"])
    for message in MESSAGES.values()
    for example in message["examples"]
]


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    found = Draft7Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{fault.json_path}: {fault.message}" for fault in found]


def test_the_document_is_valid_asyncapi(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    cache = getattr(pytestconfig, "cache", None)
    validator = Draft7Validator(official_schema(cache.mkdir("asyncapi") if cache else tmp_path))
    assert best_match(validator.iter_errors(DOCUMENT)) is None


def test_every_type_of_event_has_an_example() -> None:
    named = [example["name"] for m in MESSAGES.values() for example in m["examples"]]
    assert sorted(named) == sorted([*TYPES, "webhook.test", "webhook.gap"])


@pytest.mark.parametrize(("message", "body"), EXAMPLES)
def test_every_example_matches_its_schema(message: dict[str, Any], body: Any) -> None:
    assert faults(message["payload"], body) == []


def test_an_example_of_another_type_does_not_match() -> None:
    body = json.loads(cloud_events.body(event_examples.event("cell.changed")))
    assert faults(MESSAGES["BookingEvent"]["payload"], body)
