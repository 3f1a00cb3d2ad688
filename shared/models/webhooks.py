"""Webhooks: where events are sent to."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from shared.models.base import Model, Request, Time, by_key
from shared.models.events import TYPES
from shared.values import Id

WebhookStatus = Literal["active", "paused"]


def _known(name: str) -> str:
    if name not in TYPES:
        raise ValueError(f"no such type: {name!r}; there are {', '.join(TYPES)}")
    return name


def _different(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must not name one twice")
    return values


EventType = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": [*TYPES]})
]
Types = Annotated[
    list[EventType],
    Field(
        min_length=1,
        max_length=len(TYPES),
        description="Only events of these types; null: of all",
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_different),
]
CabinetIds = Annotated[
    list[Id],
    Field(
        min_length=1,
        max_length=100,
        description="Only events of these cabinets; null: of all, and those of none",
        json_schema_extra={"uniqueItems": True},
    ),
    AfterValidator(_different),
]
Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="An https URL whose host has public addresses only",
        # shared/webhooks/addresses.py checks it and says what is wrong; it allows http locally.
        json_schema_extra={"pattern": "^https://"},
    ),
]


class WebhookRequest(Request):
    """A webhook to make. It gets the events from now on."""

    url: Url
    types: Types | None = None
    cabinet_ids: CabinetIds | None = None


class WebhookChange(Request):
    """Changes of a webhook; absent fields stay as they are."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    url: Url | None = None
    types: Types | None = None
    cabinet_ids: CabinetIds | None = None
    status: WebhookStatus | None = Field(
        None, description="`paused`: send nothing; `active`: go on where it stood, at once"
    )
    rotate_secret: Literal[True] | None = Field(
        None, description="Make a new secret; the one before stays valid for 24 hours"
    )

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        return self


class Webhook(Model):
    """A webhook, and how far its deliveries are."""

    webhook_id: UUID
    url: str
    types: list[str] | None
    cabinet_ids: list[str] | None
    status: WebhookStatus
    status_reason: str | None = Field(description="Why it is paused")
    created_at: Time
    requested_by: str | None = by_key("that made it, or changed it last")
    oldest_undelivered_at: Time | None = Field(
        description="Time of the oldest event that was not delivered yet; null if there is none"
    )
    last_attempt_at: Time | None
    last_status_code: int | None = Field(description="Null if there was no response")
    last_error: str | None = Field(
        description="Why there was no response: a word such as `timed_out` or `connection_refused`"
    )
    consecutive_failures: int
    next_attempt_at: Time | None = Field(description="Null unless the last attempt failed")
    previous_secret_until: Time | None = Field(
        description="How long the secret before the last rotation is valid; null if it is not"
    )


class WebhookWithSecret(Webhook):
    """A webhook whose secret is shown: when it is made, and when the secret is rotated."""

    secret: str | None = Field(
        description="Key of the signatures (Standard Webhooks); null unless it is new"
    )


class WebhookList(Model):
    """All webhooks, oldest first."""

    webhooks: list[Webhook]


class WebhookTest(Model):
    """The outcome of sending one event of type `webhook.test`."""

    delivered: bool = Field(description="Whether the receiver answered with 2xx, within 10 s")
    status_code: int | None
    error: str | None
    duration_ms: int
