"""Settings: the environment variables of a function, named and checked in one place."""

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_KEY = r"\s*[A-Za-z0-9._-]{1,64}:(read|backend|operator):[0-9a-fA-F]{64}\s*"

Model = TypeVar("Model", bound=BaseModel)


class SettingsInvalid(RuntimeError):
    """An environment variable is missing or malformed."""


class Settings(BaseModel):
    """What the functions read from their environment. docs/settings.md lists it from here."""

    model_config = ConfigDict(frozen=True)

    unlock_wait_seconds: Seconds = Field(15, description="How long an unlock waits for the cabinet")
    command_ttl_seconds: Seconds = Field(15, description="How old a command a cabinet may execute")
    booking_seconds: Seconds = Field(1800, description="How long a booking holds its cells")
    reconcile_seconds: Seconds = Field(
        600, description="How long evidence may settle a command that had no answer"
    )
    offline_after_seconds: Seconds = Field(
        180, description="Silence after which a cabinet counts as offline"
    )
    min_issue_charge: int = Field(
        80, ge=0, le=100, description="Lowest charge that is issued, percent, unless a booking asks"
    )
    poll_spread_seconds: int = Field(
        20, ge=0, le=600, description="Cabinets spread their answers to a poll over so long"
    )
    stop_alarms: str = Field(
        "smoke,fire,water",
        description="Alarms that stop bookings and unlocks at their cabinet, comma-separated",
    )
    registry_id: str = Field("local", description="Names the topic that all cabinets read")
    database_url: str = Field(
        "postgresql://",
        repr=False,
        description="PostgreSQL; the password may come in PGPASSWORD instead",
    )
    mqtt_host: str = Field("localhost", description="The MQTT broker's host name")
    mqtt_port: int = Field(8883, ge=1, le=65535, description="Its port")
    mqtt_username: str = Field("", description="The service's login at the broker")
    mqtt_password: str = Field("", repr=False, description="Its password")
    mqtt_tls: bool = Field(default=True, description="Speak TLS to the broker, and verify it")
    mqtt_ca_file: str = Field("", description="CA of the broker; empty: the system's")
    mqtt_ca_pem: str = Field("", description="The same as text, where there is no file")
    api_keys: str = Field(
        "",
        repr=False,
        description="name:scope:sha256-of-the-key, comma-separated; scope: read, backend, operator",
    )
    monitoring_folder_id: str = Field(
        "", description="Folder that product metrics are written to; empty: none are"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )

    @field_validator("api_keys")
    @classmethod
    def _are_keys(cls, value: str) -> str:
        entries = filter(str.strip, value.replace("\n", ",").split(","))
        if not all(re.fullmatch(_KEY, entry) for entry in entries):
            raise ValueError("must be name:scope:sha256-in-hexadecimal, comma-separated")
        return value


def read(model: type[Model], environment: Mapping[str, str]) -> Model:
    """Settings from variables named as the model's fields in capitals; others are ignored.

    An empty variable is one that is not set.

    Raises SettingsInvalid, which names each variable that is wrong but never its value.
    """
    given = {name: environment.get(name.upper()) for name in model.model_fields}
    try:
        return model.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        faults = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsInvalid(f"settings are wrong: {faults}") from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read at first use."""
    return read(Settings, os.environ)  # noqa: TID251 - this is the one place
