"""A broker that tests do not start: `pytest --broker FILE`, or `python -m tools broker FILE`."""

from itertools import cycle
from pathlib import Path
from uuid import uuid4

import paho.mqtt.client as mqtt

from local.broker import BRIDGE_LOGIN, DEVICE_PASSWORD, SERVICE_LOGIN
from tests.support.brokers import RULES, AnyBroker, Rules
from tools.broker import Given, read

ENGINE = "given"


class GivenBroker:
    """A running broker of any make, with the logins that it was given."""

    engine = ENGINE
    rules = Rules()
    """What it does with its clients; `given_rules.probe` finds it out."""

    def __init__(self, file: Path) -> None:
        """Raise ToolError if the file does not describe a broker."""
        self.given: Given = read(file)
        self.host, self.port = self.given.devices_host or self.given.host, self.given.devices_port
        self.mqtt_version = self.given.mqtt_version
        self._devices = cycle(self.given.devices)

    def start(self) -> None:
        """Do nothing: it runs."""

    def port_of(self, username: str) -> int:
        """Return the port for this login."""
        return self.given.port if _is_own(username) else self.port

    def add_device(self, device_id: str) -> None:
        """Do nothing: the broker has its devices."""

    def next_device(self) -> str:
        """Return the id of a device; two calls one after the other return different ones."""
        return next(self._devices)


def rules_of(broker: AnyBroker) -> Rules:
    """Return what a broker does with its clients."""
    return broker.rules if isinstance(broker, GivenBroker) else RULES[broker.engine]


def new_device(broker: AnyBroker) -> str:
    """Return the id of a device that may log in with DEVICE_PASSWORD."""
    if isinstance(broker, GivenBroker):
        return broker.next_device()
    device_id = f"device-{uuid4()}"
    broker.add_device(device_id)
    return device_id


def prepare(client: mqtt.Client, broker: object, login: tuple[str, str] | None) -> None:
    """Give a client its login; at a given broker, with its password there, and TLS."""
    if isinstance(broker, GivenBroker):
        login = _login_at(broker.given, login) if login else None
        if broker.given.tls:
            client.tls_set(str(broker.given.ca_file) if broker.given.ca_file else None)
    if login:
        client.username_pw_set(*login)


def host_of(broker: AnyBroker, username: str) -> str:
    """Return the host for this login."""
    if isinstance(broker, GivenBroker) and _is_own(username):
        return broker.given.host
    return broker.host


def settings_of(broker: AnyBroker) -> dict[str, str]:
    """Return the environment variables with which functions publish to this broker."""
    login, settings = SERVICE_LOGIN, {"MQTT_TLS": "false"}
    if isinstance(broker, GivenBroker):
        login = broker.given.service
        ca = broker.given.ca_file.read_text() if broker.given.ca_file else ""
        settings = {"MQTT_TLS": str(broker.given.tls).lower(), "MQTT_CA_PEM": ca}
    return settings | {
        "MQTT_HOST": host_of(broker, SERVICE_LOGIN[0]),
        "MQTT_PORT": str(broker.port_of(SERVICE_LOGIN[0])),
        "MQTT_USERNAME": login[0],
        "MQTT_PASSWORD": login[1],
        "MQTT_VERSION": broker.mqtt_version,
    }


def _is_own(username: str) -> bool:
    return username in (SERVICE_LOGIN[0], BRIDGE_LOGIN[0])


def _login_at(given: Given, login: tuple[str, str]) -> tuple[str, str]:
    if login == SERVICE_LOGIN:
        return given.service
    if login == BRIDGE_LOGIN:
        return given.bridge
    username, password = login
    names = {SERVICE_LOGIN[0]: given.service[0], BRIDGE_LOGIN[0]: given.bridge[0]}
    known = given.devices.get(username) if password == DEVICE_PASSWORD else None
    return names.get(username, username), known or password
