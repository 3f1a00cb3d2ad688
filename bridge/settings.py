"""The bridge's settings: environment variables, validated in one place."""

import os
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, FilePath

from shared import config
from shared.config import Seconds


class Settings(BaseModel):
    """The bridge's environment variables; each is a field's name in capitals."""

    model_config = ConfigDict(frozen=True)

    bridge_client_id: str = Field(
        "trigger-bridge",
        min_length=1,
        max_length=64,
        pattern="^[^/+#]+$",
        description="MQTT client id of the bridge's session; only bridges that stand by for each"
        " other may use the same",
    )
    bridge_standby: bool = Field(
        default=False,
        description="Several bridges use this session: one is active, the others stand by",
    )
    bridge_batch_size: int = Field(
        100, ge=1, le=1000, description="Maximum messages per invocation"
    )
    bridge_lanes: int = Field(
        1,
        ge=1,
        le=64,
        description="Maximum invocations at a time; a device's messages are in one of them at most",
    )
    bridge_batch_milliseconds: float = Field(
        20,
        ge=0,
        le=60_000,
        description="Minimum time between invocations with less than a full batch",
    )
    bridge_buffer_messages: int = Field(
        20_000,
        ge=2,
        description="Maximum messages in memory; at least twice the broker's inflight window",
    )
    bridge_retry_first_seconds: Seconds = Field(
        0.2,
        description="Pause after the first failed invocation; each further pause is twice as long",
    )
    bridge_retry_max_seconds: Seconds = Field(
        30, description="Maximum pause after a failed invocation"
    )
    bridge_function_id: str = Field("", description="Id of the function to invoke")
    bridge_function_timeout_seconds: Seconds = Field(
        60,
        description="Time limit of an invocation; more than the function's own execution timeout",
    )
    registry_id: str = Field("local", description="Registry id in each event")
    mqtt_host: str = Field("localhost", min_length=1, description="Host name of the MQTT broker")
    mqtt_port: int = Field(8883, ge=1, le=65535, description="Port of the MQTT broker")
    mqtt_username: str = Field("", description="The bridge's user name at the broker")
    mqtt_password: str = Field("", repr=False, description="The bridge's password at the broker")
    mqtt_tls: bool = Field(default=True, description="Use TLS and verify the broker's certificate")
    mqtt_ca_file: FilePath | None = Field(
        None, description="CA certificate of the broker; empty: the system's CAs"
    )
    log_level: str = Field(
        "INFO",
        pattern="^(DEBUG|INFO|WARNING|ERROR)$",
        description="DEBUG, INFO, WARNING or ERROR",
    )
    notify_socket: str = Field(
        "", description="Set by systemd: the socket that the bridge reports its state to"
    )


def read(environment: Mapping[str, str] = os.environ) -> Settings:  # noqa: TID251 - the one place
    """Return the bridge's settings. Raises SettingsInvalid, which names each invalid variable."""
    return config.read(Settings, environment)
