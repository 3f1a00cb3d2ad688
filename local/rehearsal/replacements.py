"""Values that exist only in the cloud, and their replacements on this machine."""

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
from local.stack import API_KEYS, WEBHOOKS_SECRET

BROKER_HOST = "localhost"


class Replacements:
    """Replaces some variables of functions, and the entries of Lockbox's secrets, by name.

    All other values stay as Terraform applied them.
    """

    def __init__(self, topology: Topology, authority: Authority) -> None:
        self._topology = topology
        self._authority = authority
        self.service_password = secrets.token_hex(20)
        self.database_passwords = _passwords(topology)
        """By the name of the user."""
        self._entries: dict[str, Callable[[dict[str, Any]], str]] = {
            "api_keys": lambda _: _digests(),
            **{
                _secret_of(user, topology): _always(p)
                for user, p in self.database_passwords.items()
            },
            "password": lambda _: self.service_password,
            "webhooks_secret": lambda _: WEBHOOKS_SECRET,
            "server.pem": self._certificate,
        }
        self.secrets = self._secrets()

    def environment(
        self, function: Function, *, database_url: str, broker_port: int
    ) -> dict[str, str]:
        """Return a function's environment, with this machine's addresses and secrets."""

        def local(url: str) -> str:
            return local_url(url, self._topology, database_url)

        replaced: dict[str, Callable[[str], str]] = {
            "DATABASE_URL": local,
            "DATABASE_REPLICA_URL": local,
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
        """Return the settings in the broker machine's metadata, with the temporary CA."""
        replaced = {"ca": self._authority.ca.read_text(), "revoked": self._authority.revoked}
        return {name: replaced.get(name, value) for name, value in settings.items()}

    def _secrets(self) -> dict[str, dict[str, str]]:
        """Return the entries of each secret, by the secret's id."""
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
            raise CannotStart(f"{version.address}: {key!r} has no replacement in {where}")
        entries = version.values.get("entries") or []
        return self._entries[key](next((one for one in entries if one["key"] == key), {}))

    def _certificate(self, entry: dict[str, Any]) -> str:
        """Return the broker's certificate. Raises Fault if a function uses another host name."""
        host = entry["command"][0]["args"][-1]
        for function in self._topology.functions.values():
            used = function.environment.get("MQTT_HOST", host)
            if used != host:
                raise Fault(
                    f"{function.address}: MQTT_HOST is {used}, but the broker's certificate is"
                    f" for {host}"
                )
        return self._authority.certificate(host)


def _always(value: str) -> Callable[[dict[str, Any]], str]:
    return lambda _: value


def _passwords(topology: Topology) -> dict[str, str]:
    users = topology.all("yandex_mdb_postgresql_user")
    return {one.values["name"]: secrets.token_hex(20) for one in users}


def _secret_of(user: str, topology: Topology) -> str:
    """Return the name of the file and of the Lockbox entry with a database user's password."""
    owner = topology.one("yandex_mdb_postgresql_database").values["owner"]
    return "database_password" if user == owner else f"database_{user}_password"


def _digests() -> str:
    digests = {scope: hashlib.sha256(key.encode()).hexdigest() for scope, key in API_KEYS.items()}
    return ",".join(f"local-{scope}:{scope}:{digest}" for scope, digest in digests.items())
