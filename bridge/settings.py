"""The bridge's settings: environment variables, named and checked in one place."""

import os
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, FilePath

from shared import config
from shared.config import Seconds


class Settings(BaseModel):
    """What the bridge reads from its environment: a field's name in capitals is its variable."""

    model_config = ConfigDict(frozen=True)

    bridge_client_id: str = Field(
        "trigger-bridge",
        min_length=1,
        max_length=64,
        description="Names the session that the broker keeps while the bridge is away; never two",
    )
    bridge_batch_size: int = Field(
        100, ge=1, le=1000, description="Most messages that one invocation carries"
    )
    bridge_batch_milliseconds: float = Field(
        20, ge=0, le=60_000, description="Least time between two invocations that are not full"
    )
    bridge_buffer_messages: int = Field(
        1000, ge=1, description="Most messages in memory; no less than the broker's inflight window"
    )
    bridge_retry_first_seconds: Seconds = Field(
        0.2, description="Pause after the first failure; each further one is twice as long"
    )
    bridge_retry_max_seconds: Seconds = Field(30, description="The longest such pause")
    bridge_function_id: str = Field("", description="The function that messages are handed to")
    bridge_function_timeout_seconds: Seconds = Field(
        60, description="Wait for its answer; longer than the function's own execution time-out"
    )
    registry_id: str = Field("local", description="Goes into each event as the device's registry")
    mqtt_host: str = Field("localhost", min_length=1, description="The MQTT broker's host name")
    mqtt_port: int = Field(8883, ge=1, le=65535, description="Its port")
    mqtt_username: str = Field("", description="The bridge's login at the broker")
    mqtt_password: str = Field("", repr=False, description="Its password")
    mqtt_tls: bool = Field(default=True, description="Speak TLS to the broker, and verify it")
    mqtt_ca_file: FilePath | None = Field(None, description="CA of the broker; empty: the system's")
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="DEBUG, INFO, WARNING or ERROR",
    )
    notify_socket: str = Field("", description="Set by systemd: where the state is reported to")


def read(environment: Mapping[str, str] = os.environ) -> Settings:  # noqa: TID251 - the one place
    """The bridge's settings. Raises SettingsInvalid, which names each variable that is wrong."""
    return config.read(Settings, environment)
