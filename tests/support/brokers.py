"""What the tests need of a broker, and what one does otherwise than Mosquitto."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Rules:
    """What a broker does with its clients; service, bridge and cabinets must work with each."""

    replaces_client_ids: bool = True
    """A device's client id becomes its login; otherwise, a device with another one is refused."""
    ends_connections: bool = False
    """Who publishes or subscribes where it may not loses the connection."""
    reads_all_before_the_end: bool = True
    """QoS 0 messages in one packet with the DISCONNECT arrive."""
    waits_for_qos_0: bool = True
    """QoS 0 messages that were sent just before the DISCONNECT arrive."""


RULES = {
    "mosquitto": Rules(),
    "amqtt": Rules(reads_all_before_the_end=False),
    "rabbitmq": Rules(replaces_client_ids=False, ends_connections=True, waits_for_qos_0=False),
}
"""By engine."""


class AnyBroker(Protocol):
    """A running broker, whose engine has RULES."""

    @property
    def engine(self) -> str:
        """The key in RULES."""

    @property
    def host(self) -> str:
        """The host of all its ports."""

    @property
    def port(self) -> int:
        """The port for devices."""

    @property
    def mqtt_version(self) -> str:
        """The highest MQTT version that it speaks, as the setting MQTT_VERSION."""

    def start(self) -> object:
        """Start it, if it does not run."""

    def port_of(self, username: str) -> int:
        """Return the port for this login."""

    def add_device(self, device_id: str) -> None:
        """Let one device log in with DEVICE_PASSWORD."""
