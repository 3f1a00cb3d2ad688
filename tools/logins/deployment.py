"""The logins of a deployment: Terraform's outputs say where they are."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from tools import ToolError
from tools.logins import lockbox
from tools.logins.certificates import REVOKED, revocation_list
from tools.logins.store import Connection

TERRAFORM = Path(__file__).parents[2] / "terraform"
_INSTEAD = "let whoever deploys run that and save what it prints, then pass the file as --outputs"


class Outputs(BaseModel):
    """The outputs of the Terraform configuration that the logins need. None of them is secret."""

    api_url: str
    mqtt_broker: str = Field(pattern=r"^.+:\d+$")
    registry_id: str
    broker_ca: str
    cabinets_secret_ids: list[str]


def read_outputs(file: Path | None) -> Outputs:
    """Return what `terraform output -json` prints, or has printed into `file`. Raises ToolError."""
    command = ("terraform", f"-chdir={TERRAFORM}", "output", "-json")
    where = str(file) if file else f"`{' '.join(command)}`"
    try:
        text = file.read_text() if file else lockbox.run(*command, instead=_INSTEAD)
        found: dict[str, Any] = json.loads(text)
        outputs = Outputs.model_validate({name: one["value"] for name, one in found.items()})
    except (OSError, ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = (
            f"{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}"
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise ToolError(f"{where} does not have the outputs of a deployment ({reason})") from None
    if not outputs.cabinets_secret_ids:
        raise ToolError(f'{where}: only a deployment with mqtt_backend = "mosquitto" has logins')
    return outputs


class DeployedLogins:
    """Logins of a deployment's broker, in Lockbox."""

    takes_effect = "within half a minute"

    def __init__(self, outputs: Outputs) -> None:
        self._outputs = outputs
        self._lockbox = lockbox.Lockbox()

    def service(self) -> dict[str, str]:
        """Return the environment variable with the service's URL."""
        return {"SCOOTER_ACCUMULATOR_URL": self._outputs.api_url}

    def connection(self) -> Connection:
        """Return how a device connects."""
        host, _, port = self._outputs.mqtt_broker.rpartition(":")
        return Connection(host, int(port), self._outputs.registry_id, self._outputs.broker_ca)

    def hashes(self) -> dict[str, str]:
        """Return the hashes by device id."""
        found = {key: value for one in self._entries() for key, value in one.items()}
        found.pop(REVOKED, None)
        return found

    def change(self, hashes: Mapping[str, str]) -> Iterator[list[str]]:
        """Store hashes, and the revocation list of this machine, if there is one."""
        values = {**hashes, **revocation_list()}
        changes = lockbox.distribute(self._entries(), values)
        for index, change in lockbox.phases(changes):
            self._lockbox.change(self._outputs.cabinets_secret_ids[index], change)
            yield [key for key, value in change.items() if hashes.get(key) == value]

    def _entries(self) -> list[lockbox.Entries]:
        return [self._lockbox.entries(one) for one in self._outputs.cabinets_secret_ids]
