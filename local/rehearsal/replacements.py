"""What only a cloud knows, by name, and what stands for it here."""

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local import CannotStart
from local.rehearsal import Fault
from local.rehearsal.certificates import Authority
from local.rehearsal.database import local_url
from local.rehearsal.topology import Function, Resource, Topology
from local.rehearsal.wiring import keys_of
from local.stack import API_KEYS

BROKER_HOST = "localhost"


class Replacements:
    """The two tables: variables of functions, and entries of Lockbox's secrets.

    Everything that is in neither is given as Terraform gave it.
    """

    def __init__(self, topology: Topology, authority: Authority) -> None:
        self._topology = topology
        self._authority = authority
        self.database_password, self.service_password = (secrets.token_hex(20) for _ in "12")
        self._entries: dict[str, Callable[[dict[str, Any]], str]] = {
            "api_keys": lambda _: _digests(),
            "database_password": lambda _: self.database_password,
            "password": lambda _: self.service_password,
            "server.pem": self._certificate,
        }
        self.secrets = self._lockbox()

    def environment(
        self, function: Function, *, database_url: str, broker_port: int
    ) -> dict[str, str]:
        """A function's environment: what Terraform gave it, with this machine's addresses."""
        replaced: dict[str, Callable[[str], str]] = {
            "DATABASE_URL": lambda given: local_url(given, self._topology, database_url),
            "MQTT_HOST": lambda _: BROKER_HOST,
            "MQTT_PORT": lambda _: str(broker_port),
            "MQTT_CA_PEM": lambda _: self._authority.ca.read_text(),
        }
        environment = {
            name: replaced.get(name, str)(value) for name, value in function.environment.items()
        }
        for given in function.secrets:
            environment[given["environment_variable"]] = self.secrets[given["id"]][given["key"]]
        return environment

    def machine_settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        """What the broker's machine reads in its metadata, with this CA."""
        ours = {"ca": self._authority.ca.read_text(), "revoked": self._authority.revoked}
        return {name: ours.get(name, value) for name, value in settings.items()}

    def _lockbox(self) -> dict[str, dict[str, str]]:
        """The entries of each secret, by its id."""
        all_secrets = {one.values["id"]: one for one in self._topology.all("yandex_lockbox_secret")}
        found: dict[str, dict[str, str]] = {secret_id: {} for secret_id in all_secrets}
        for version in self._topology.all("yandex_lockbox_secret_version"):
            secret = all_secrets[version.values["secret_id"]]
            for key in keys_of(secret, version):
                found[secret.values["id"]][key] = self._value(version, key)
        return found

    def _value(self, version: Resource, key: str) -> str:
        if key not in self._entries:
            where = Path(__file__).name
            raise CannotStart(f"{version.address}: nothing stands for its entry {key!r}: {where}")
        entries = version.values.get("entries") or []
        return self._entries[key](next((one for one in entries if one["key"] == key), {}))

    def _certificate(self, entry: dict[str, Any]) -> str:
        """The broker's, for the host that Terraform signs it for; functions must be told that."""
        host = entry["command"][0]["args"][-1]
        for function in self._topology.functions.values():
            told = function.environment.get("MQTT_HOST", host)
            if told != host:
                raise Fault(
                    f"{function.address}: MQTT_HOST is {told}, but the broker's certificate is"
                    f" for {host}"
                )
        return self._authority.certificate(host)


def _digests() -> str:
    digests = {scope: hashlib.sha256(key.encode()).hexdigest() for scope, key in API_KEYS.items()}
    return ",".join(f"local-{scope}:{scope}:{digest}" for scope, digest in digests.items())
