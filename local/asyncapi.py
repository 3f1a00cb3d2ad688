"""Generates docs/asyncapi.json, the protocol native.v1, from the commands and messages."""

import inspect
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, create_model

from local import examples, schemas
from local.openapi import CONTACT, LICENSE
from local.schemas import Schema
from shared.commands import Command, registry
from shared.messages import AnyMessage, Message
from shared.protocols import native_v1

_ABOUT = """\
One cabinet is one MQTT client and one device. Payloads are UTF-8 JSON objects of at most 256 KiB. \
Unknown fields are ignored by both sides.

The schemas say what to send. The service understands more: a value outside its schema makes only \
its field unknown, a bad cell makes only that cell unknown, and unknown cells are not used. A \
message without usable `v`, `type`, `boot_id` and `seq` (`goodbye` has none) is not applied. \
docs/protocol.md, "What is understood", has the rules.

Cabinets subscribe to commands at QoS 0 with a clean session, so that the command to open a door \
is never redelivered, and a command to a cabinet that is offline is lost. Nothing is retained. \
`(boot_id, seq)` orders one cabinet's messages.
"""
_AT_LEAST_ONCE = {"mqtt": {"qos": 1, "retain": False, "bindingVersion": "0.2.0"}}
_POLL = "report_state"
_REPLIES = ("command_result", "state_report")
_DEVICE_ID = {"device_id": {"description": "The device id of the cabinet."}}
_REGISTRY_ID = {"registry_id": {"description": "The registry that all cabinets belong to."}}
_SECURITY = {
    "password": {
        "type": "userPassword",
        "description": "The device id, and the device's password.",
    },
    "certificate": {"type": "X509", "description": "A certificate whose CN is the device id."},
}
_SERVER = {
    "host": "{host}:8883",
    "protocol": "secure-mqtt",
    "protocolVersion": "3.1.1",
    "description": "The MQTT broker, over TLS.",
    "variables": {"host": {"description": "The broker's host name."}},
    "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _SECURITY],
}


def document() -> Schema:
    """Return the AsyncAPI document of the protocol, from the service's point of view."""
    commands, messages = registry(), _messages()
    inputs: list[schemas.Input] = [
        (kind, "serialization", TypeAdapter(_envelope(command)))
        for kind, command in commands.items()
    ]
    inputs += [(kind, "validation", TypeAdapter(message)) for kind, message in messages.items()]
    payloads, definitions = schemas.of_models(inputs, "#/components/schemas/{model}")
    models: dict[str, type[BaseModel]] = {**commands, **messages}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"scooter-accumulator: {native_v1.NAME}",
            "version": "1.0",
            "description": _ABOUT,
            "contact": CONTACT,
            "license": LICENSE,
            "tags": [{"name": "cabinets"}],
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _SERVER},
        "channels": _channels(sorted(commands), sorted(messages)),
        "operations": _operations(),
        "components": {
            "messages": {
                kind: _message(kind, model, payloads[kind])
                for kind, model in sorted(models.items())
            },
            "schemas": dict(sorted(definitions.items())),
            "securitySchemes": _SECURITY,
        },
    }


# --- Messages ---------------------------------------------------------------------------------


def _messages() -> dict[str, type[Message]]:
    """Return the message classes by type."""
    union, *_ = get_args(AnyMessage)
    return {get_args(cls.model_fields["type"].annotation)[0]: cls for cls in get_args(union)}


def _envelope(command: type[Command]) -> type[BaseModel]:
    """Return the schema of an encoded command (`native_v1.encode`)."""
    fields: dict[str, Any] = {
        "v": (Literal[1], ...),
        "command_id": (UUID, Field(description="A cabinet executes the same id only once.")),
        **{name: (field.annotation, field) for name, field in command.model_fields.items()},
        "issued_at": (datetime, ...),
        "ttl_s": (
            Annotated[float, Field(gt=0)],
            Field(description="Seconds after `issued_at`; later the reply is `expired`."),
        ),
    }
    model: type[BaseModel] = create_model(command.__name__, __doc__=command.__doc__, **fields)
    return model


def _message(kind: str, model: type[BaseModel], payload: Schema) -> Schema:
    message: Schema = {
        "name": kind,
        "title": model.__name__,
        "summary": inspect.getdoc(model),
        "contentType": "application/json",
        "payload": payload,
    }
    if issubclass(model, Command) or "command_id" in model.model_fields:
        message["correlationId"] = {"location": "$message.payload#/command_id"}
    named = _examples(kind, model)
    if named:
        message["examples"] = [{"name": name, "payload": body} for name, body in named.items()]
    return message


def _examples(kind: str, model: type[BaseModel]) -> Schema:
    if not issubclass(model, Command):
        return examples.MESSAGES.get(kind, {})
    if kind not in examples.COMMANDS:
        return {}
    command = model.model_validate(examples.COMMANDS[kind])
    encoded = native_v1.encode(
        command, command_id=examples.COMMAND_ID, issued_at=examples.NOON, ttl_s=15
    )
    return {kind: json.loads(encoded)}


# --- Channels and operations ------------------------------------------------------------------


def _channels(commands: list[str], messages: list[str]) -> Schema:
    return {
        "events": {
            "address": "$devices/{device_id}/events",
            "description": "Messages from a cabinet.",
            "parameters": _DEVICE_ID,
            "messages": _references(messages),
        },
        "commands": {
            "address": "$devices/{device_id}/commands",
            "description": "Commands for one cabinet. Cabinets subscribe at QoS 0.",
            "parameters": _DEVICE_ID,
            "messages": _references(commands),
        },
        "poll": {
            "address": "$registries/{registry_id}/commands",
            "description": "Commands for all cabinets. Cabinets subscribe at QoS 0.",
            "parameters": _REGISTRY_ID,
            "messages": _references([_POLL]),
        },
    }


def _operations() -> Schema:
    replies = [{"$ref": f"#/channels/events/messages/{name}"} for name in _REPLIES]
    return {
        "receiveEvent": {
            "action": "receive",
            "summary": "Receive messages from cabinets.",
            "description": "The service applies each message once, also if it arrives again.",
            "channel": {"$ref": "#/channels/events"},
            "bindings": _AT_LEAST_ONCE,
        },
        "sendCommand": {
            "action": "send",
            "summary": "Send a command to a cabinet.",
            "description": "The cabinet replies with the command's id.",
            "channel": {"$ref": "#/channels/commands"},
            "bindings": _AT_LEAST_ONCE,
            "reply": {"channel": {"$ref": "#/channels/events"}, "messages": replies},
        },
        "pollCabinets": {
            "action": "send",
            "summary": "Request a state report from all cabinets, every minute.",
            "description": "Each cabinet replies after a random delay of at most `spread_s`.",
            "channel": {"$ref": "#/channels/poll"},
            "bindings": _AT_LEAST_ONCE,
            "reply": {"channel": {"$ref": "#/channels/events"}, "messages": replies[1:]},
        },
    }


def _references(names: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}
