"""The logins of a local cloud, through its control interface."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from local import CannotStart, addresses
from local.cabinet.control import Control, ControlError
from tools import ToolError
from tools.logins.store import Connection

_KEY = "local-read"


class LocalLogins:
    """Devices' own passwords at the broker of a running local cloud."""

    takes_effect = "now"

    def __init__(self, data_dir: Path) -> None:
        try:
            self.addresses = addresses.read(data_dir)
        except CannotStart as error:
            raise ToolError(str(error)) from None
        self._control = Control(self.addresses["control_url"])

    def service(self) -> dict[str, str]:
        """Return the environment variables with the service's URL and a key."""
        return {
            "SCOOTER_ACCUMULATOR_URL": self.addresses["http_url"],
            "SCOOTER_ACCUMULATOR_KEY": _KEY,
        }

    def connection(self) -> Connection:
        """Return how a device connects."""
        found = self.addresses
        return Connection(found["mqtt_host"], found["mqtt_port"], found["registry_id"])

    def simulated(self) -> set[str]:
        """Return the devices of simulated cabinets, whose password cannot be changed."""
        try:
            return {one["cabinet_id"] for one in self._control.cabinets()}
        except ControlError as error:
            raise ToolError(str(error)) from None

    def hashes(self) -> dict[str, str]:
        """Return the hashes of devices' own passwords by device id."""
        try:
            found = self._control.passwords()
        except ControlError as error:
            raise ToolError(str(error)) from None
        return {device_id: stored for device_id, stored in found.items() if stored}

    def change(self, hashes: Mapping[str, str]) -> Iterator[list[str]]:
        """Store hashes, all at once."""
        try:
            self._control.change_passwords(hashes)
        except ControlError as error:
            raise ToolError(str(error)) from None
        yield [*hashes]
