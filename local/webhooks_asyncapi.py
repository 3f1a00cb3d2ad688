"""Generates docs/webhooks.asyncapi.json: what the service sends to webhooks."""

import inspect
import json
from datetime import datetime
from typing import Annotated, Any, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, create_model

from local import event_examples, examples, schemas
from local.openapi import CONTACT, LICENSE
from local.schemas import Schema
from shared.models.base import Model
from shared.models.events import Event
from shared.webhooks import cloud_events

_ABOUT = """\
Each message is one HTTP POST of a CloudEvents 1.0 event in structured JSON, signed as Standard \
Webhooks says. Answer 2xx within 10 seconds; anything else is tried again for three days. Messages \
come at least once, and in order for each webhook. docs/webhooks.md has the rules.
"""


class Tested(Model):
    """What a test names."""

    webhook_id: UUID


class Missed(Model):
    """What a gap names."""

    missed_at_most: int = Field(description="Events of all types and cabinets that are gone")


class WebhookTest(BaseModel):
    """Sent on request; it tells nothing else."""

    type: Literal["webhook.test"]
    resource: Tested


class WebhookGap(BaseModel):
    """Events that were not delivered are not kept any more: read anew what you follow."""

    type: Literal["webhook.gap"]
    resource: Missed


class _Headers(BaseModel):
    webhook_id: str = Field(alias="webhook-id", description="The same at each repetition")
    webhook_timestamp: int = Field(
        alias="webhook-timestamp", description="Of this attempt, in seconds since 1970"
    )
    webhook_signature: str = Field(
        alias="webhook-signature",
        description="`v1,` and the signature in base64; two, separated by a blank, for 24 hours"
        " after a rotation",
    )


def document() -> Schema:
    """Return the AsyncAPI document of webhooks, from the service's point of view."""
    models = _models()
    inputs: list[schemas.Input] = [
        (name, "validation", TypeAdapter(_envelope(name, model))) for name, model in models.items()
    ]
    inputs.append(("headers", "validation", TypeAdapter(_Headers)))
    payloads, definitions = schemas.of_models(inputs, "#/components/schemas/{model}")
    references = {name: {"$ref": f"#/components/messages/{name}"} for name in models}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "scooter-accumulator: webhooks",
            "version": "1.0",
            "description": _ABOUT,
            "contact": CONTACT,
            "license": LICENSE,
            "tags": [{"name": "webhooks"}],
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "receiver": {
                "host": "{host}",
                "protocol": "https",
                "description": "The receiver: the host of the webhook's URL.",
                "variables": {"host": {"description": "A host with public addresses only."}},
            }
        },
        "channels": {
            "webhook": {
                "address": "{path}",
                "description": "The path of the webhook's URL.",
                "parameters": {"path": {"description": "The path, with its query."}},
                "messages": references,
            }
        },
        "operations": {
            "sendEvent": {
                "action": "send",
                "summary": "Send an event to a webhook's receiver.",
                "description": "One at a time, and again until the receiver answers 2xx.",
                "channel": {"$ref": "#/channels/webhook"},
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            }
        },
        "components": {
            "messages": {
                name: _message(name, model, payloads[name], payloads["headers"])
                for name, model in models.items()
            },
            "schemas": dict(sorted(definitions.items())),
        },
    }


def _models() -> dict[str, type[BaseModel]]:
    """Return a model with `type` and `resource` for each message, by name."""
    union, *_ = get_args(Event)
    return {model.__name__: model for model in (*get_args(union), WebhookTest, WebhookGap)}


def _envelope(name: str, model: type[BaseModel]) -> type[BaseModel]:
    """Return the model of a message's body (`shared.webhooks.cloud_events`)."""
    fields: dict[str, Any] = {
        "specversion": (Literal["1.0"], ...),
        "id": (UUID, Field(description="The event's id, as in the feed")),
        "source": (Literal["urn:scooter-accumulator:events"], ...),
        "type": (model.model_fields["type"].annotation, ...),
        "subject": (str, Field(description="The resource's id")),
        "time": (datetime, ...),
        "datacontenttype": (Literal["application/json"], ...),
        "cabinetid": (
            Annotated[str, Field(description="Absent if the event is of no cabinet")],
            None,
        ),
        "causedby": (str, Field(description="Name of the API key, or id of the device")),
        "requestedby": (
            Annotated[
                str,
                Field(
                    description="Name of the API key whose request made the change; absent if a"
                    " cabinet's message or the time did"
                ),
            ],
            None,
        ),
        "data": (model.model_fields["resource"].annotation, ...),
    }
    made: type[BaseModel] = create_model(f"{name}Message", __doc__=model.__doc__, **fields)
    return made


def _message(name: str, model: type[BaseModel], payload: Schema, headers: Schema) -> Schema:
    kinds = get_args(model.model_fields["type"].annotation)
    shown = [(kind, json.loads(cloud_events.body(_example(kind)))) for kind in kinds]
    return {
        "name": name,
        "title": ", ".join(kinds),
        "summary": inspect.getdoc(model),
        "contentType": "application/cloudevents+json",
        "headers": headers,
        "payload": payload,
        "examples": [{"name": kind, "payload": body} for kind, body in shown],
    }


def _example(kind: str) -> examples.Example:
    if not kind.startswith("webhook."):
        return event_examples.event(kind)
    webhook_id = examples.RESPONSES["create_webhook 201"]["webhook_id"]
    resource = {"webhook_id": webhook_id} if kind == "webhook.test" else {"missed_at_most": 421}
    named = {
        "subject": webhook_id,
        "cabinet_id": None,
        "caused_by": "service",
        "requested_by": None,
    }
    return event_examples.event("cell.changed") | named | {"type": kind, "resource": resource}
