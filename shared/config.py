"""Settings: the environment variables of the functions, read and validated in one place."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_KEY = r"\s*[A-Za-z0-9._-]{1,64}:(read|backend|operator):[0-9a-fA-F]{64}\s*"

_USER = r"^([a-z_][a-z0-9_-]{0,62})?$"

MIN_SECRET_LENGTH = 32
MAX_COST = 50
"""Of the dearest route, units: an allowance must be able to hold it."""

Model = TypeVar("Model", bound=BaseModel)


class SettingsInvalid(RuntimeError):
    """An environment variable is missing or malformed."""


class Settings(BaseModel):
    """The functions' settings. docs/settings.md lists them from here."""

    model_config = ConfigDict(frozen=True)

    unlock_wait_seconds: Seconds = Field(
        15, description="How long an unlock waits for the cabinet's result"
    )
    command_ttl_seconds: Seconds = Field(
        15, description="Maximum age of a command that a cabinet may still execute"
    )
    booking_seconds: Seconds = Field(1800, description="How long a booking holds its cells")
    reconcile_seconds: Seconds = Field(
        600, description="How long evidence may settle a command without a result"
    )
    offline_after_seconds: Seconds = Field(
        180, description="Time without a message after which a cabinet counts as offline"
    )
    min_issue_charge: int = Field(
        80,
        ge=0,
        le=100,
        description="Lowest charge to issue, percent; a booking's min_charge takes precedence",
    )
    poll_spread_seconds: int = Field(
        20, ge=0, le=600, description="Time over which cabinets spread their replies to a poll"
    )
    event_keep_days: int = Field(30, ge=1, le=3650, description="How long events can be read, days")
    booking_keep_days: int = Field(
        400,
        ge=1,
        le=36500,
        description="How long bookings that have ended, and commands, are kept, days",
    )
    anomaly_keep_days: int = Field(
        90,
        ge=1,
        le=36500,
        description="How long an anomaly is kept after it last occurred, days",
    )
    idempotency_keep_hours: int = Field(
        24, ge=1, le=720, description="How long a repeated Idempotency-Key is recognised, hours"
    )
    archive_directory: str = Field(
        "",
        description="Where `migrate` archives the ledger: in the cloud, the bucket that Terraform"
        " mounts with `archive = true`; empty: nowhere",
    )
    held_too_long_hours: int = Field(
        24,
        ge=1,
        le=8760,
        description="Time after which a person should ask why a contractor still has an "
        "accumulator, hours",
    )
    rate_limit_per_second: float = Field(
        100,
        ge=0,
        le=100_000,
        description="Units that an API key may spend on costly requests, per second: a page of a "
        "list costs 1, `GET /v1/stats` 50; 0: no limit",
    )
    rate_limit_burst: int = Field(
        600,
        ge=MAX_COST,
        le=1_000_000,
        description="Units that an API key which has asked for nothing for a while may spend at "
        "once",
    )
    stop_alarms: str = Field(
        "smoke,fire,water",
        description="Alarms that stop bookings and unlocks of the cabinet, comma-separated",
    )
    suspect_claims_per_hour: int = Field(
        12,
        ge=1,
        le=1000,
        description="How many accumulators that others have a cabinet may claim in an hour before "
        "it is suspect; it should not be below the number of cells of an ordinary cabinet",
    )
    unknown_accumulators_per_day: int = Field(
        200,
        ge=1,
        le=10_000,
        description="How many unknown accumulators a cabinet may have registered in 24 hours; "
        "at least one for each of its cells",
    )
    device_id_pattern: str = Field(
        r"[A-Za-z0-9._-]+",
        description="Regular expression for the ids of devices that can be registered. A broker "
        "that turns the `/` of topics into dots, as RabbitMQ does, needs one without a dot: "
        "`[A-Za-z0-9_-]+`",
    )
    registry_id: str = Field(
        "local", description="Id in the topic `$registries/<id>/commands`, which all cabinets read"
    )
    database_url: str = Field(
        "postgresql://",
        repr=False,
        description="URL of the PostgreSQL database; the password may be in PGPASSWORD instead",
    )
    database_replica_url: str = Field(
        "",
        repr=False,
        description="URL of a read replica, for lists and figures, which may be a second old; "
        "empty: everything is read from the primary",
    )
    database_functions_user: str = Field(
        "",
        pattern=_USER,
        description="Database user that the functions connect as; `migrate` gives it its rights. "
        "Empty: they connect as the owner",
    )
    database_reader_user: str = Field(
        "",
        pattern=_USER,
        description="Database user of a data warehouse; `migrate` lets it read. Empty: none",
    )
    mqtt_host: str = Field("localhost", description="Host name of the MQTT broker")
    mqtt_port: int = Field(8883, ge=1, le=65535, description="Port of the MQTT broker")
    mqtt_username: str = Field("", description="The service's user name at the broker")
    mqtt_password: str = Field("", repr=False, description="The service's password at the broker")
    mqtt_tls: bool = Field(default=True, description="Use TLS and verify the broker's certificate")
    mqtt_version: Literal["5", "3.1.1"] = Field(
        "5",
        description="5: the broker drops expired commands; 3.1.1: for a broker without MQTT 5",
    )
    mqtt_ca_file: str = Field(
        "", description="CA certificate of the broker; empty: the system's CAs"
    )
    mqtt_ca_pem: str = Field(
        "", description="CA certificate of the broker as PEM text, instead of MQTT_CA_FILE"
    )
    api_keys: str = Field(
        "",
        repr=False,
        description="name:scope:sha256-of-the-key, comma-separated; scope: read, backend, operator",
    )
    webhooks_secret: str = Field(
        "",
        repr=False,
        description="Master secret that webhooks' secrets are derived from; needed for webhooks",
    )
    webhooks_allow_private: bool = Field(
        default=False,
        description="Allow webhooks to http URLs and to addresses that are not public",
    )
    monitoring_folder_id: str = Field(
        "", description="Folder to write product metrics to; empty: no metrics"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )

    @field_validator("device_id_pattern")
    @classmethod
    def _check_device_id_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from None
        return value

    @field_validator("webhooks_secret")
    @classmethod
    def _check_webhooks_secret(cls, value: str) -> str:
        if 0 < len(value) < MIN_SECRET_LENGTH:
            raise ValueError(f"must have at least {MIN_SECRET_LENGTH} characters")
        return value

    @field_validator("api_keys")
    @classmethod
    def _check_api_keys(cls, value: str) -> str:
        entries = filter(str.strip, value.replace("\n", ",").split(","))
        if not all(re.fullmatch(_KEY, entry) for entry in entries):
            raise ValueError("must be name:scope:sha256-in-hexadecimal, comma-separated")
        return value


def read(model: type[Model], environment: Mapping[str, str]) -> Model:
    """Read settings from variables named like the model's fields in capitals.

    Other variables are ignored. An empty variable counts as not set. Raises SettingsInvalid, which
    names each invalid variable but never its value.
    """
    given = {name: environment.get(name.upper()) for name in model.model_fields}
    try:
        return model.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        faults = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsInvalid(f"invalid settings: {faults}") from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read at first use."""
    return read(Settings, os.environ)  # noqa: TID251 - the one place
