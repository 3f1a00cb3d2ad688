"""The hand-over: a file with the new passwords, for the people who set the cabinets up.

It is written before the passwords are stored, and updated as they are. So an interrupted command
loses no password: run again, it stores those that the file has.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from tools import ToolError
from tools.logins import cards
from tools.logins.devices import Device
from tools.logins.store import Connection

State = Literal["pending", "valid"]
"""Whether the password is known to be stored. Only then it works."""
SUFFIXES = (".csv", ".json", ".html")


@dataclass(frozen=True)
class Login:
    """A device's new login; the user name is the device id."""

    device: Device
    password: str
    state: State = "pending"


class Handover:
    """New logins by device id, and the file that has them."""

    def __init__(self, file: Path, connection: Connection, logins: Iterable[Login] = ()) -> None:
        self.file = file
        self._connection = connection
        self.logins = {one.device.device_id: one for one in logins}

    @classmethod
    def read(cls, file: Path, connection: Connection) -> Self | None:
        """Return the hand-over in a file; None if there is no file. Raises ToolError."""
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"{file} cannot be read: {error}") from None
        try:
            return cls(file, connection, map(_login, _rows(file, text)))
        except (csv.Error, KeyError, RecursionError, TypeError, ValueError):
            raise ToolError(
                f"{file} exists and is not a hand-over: name another file, or replace it with"
                " --force"
            ) from None

    def mark_valid(self, device_ids: Iterable[str]) -> None:
        """Set logins to valid."""
        for device_id in device_ids:
            self.logins[device_id] = replace(self.logins[device_id], state="valid")

    def write(self) -> None:
        """Write the file atomically, readable by its owner only. Raises ToolError."""
        new = self.file.with_name(f".{self.file.name}.new")
        try:
            new.unlink(missing_ok=True)
            new.touch(mode=0o600, exist_ok=False)
            with new.open("w", encoding="utf-8") as output:
                output.write(self.text())
                output.flush()
                os.fsync(output.fileno())
            new.replace(self.file)
        except OSError as error:
            raise ToolError(f"{self.file} cannot be written: {error.strerror}") from None

    def text(self) -> str:
        """Return the content of the file, in the format of its suffix."""
        rows = [self._row(one) for one in self.logins.values()]
        match self.file.suffix:
            case ".json":
                return json.dumps({"broker": self._broker(), "logins": rows}, indent=1) + "\n"
            case ".html":
                return cards.page(self._broker(), rows)
            case _:
                return csv_text(rows)

    def _broker(self) -> dict[str, Any]:
        found = self._connection
        return {
            "host": found.host,
            "port": found.port,
            "tls": bool(found.ca_pem),
            "ca_sha256": found.ca_sha256,
            "ca_pem": found.ca_pem,
        }

    def _row(self, login: Login) -> dict[str, Any]:
        device_id = login.device.device_id
        return {
            **login.device._asdict(),
            "username": device_id,
            "password": login.password,
            "host": self._connection.host,
            "port": self._connection.port,
            "ca_sha256": self._connection.ca_sha256,
            "publish": f"$devices/{device_id}/events",
            "subscribe": f"$devices/{device_id}/commands",
            "subscribe_all": f"$registries/{self._connection.registry_id}/commands",
            "state": login.state,
        }


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows with the same columns as CSV."""
    all_rows = [*rows]
    output = io.StringIO()
    writer = csv.DictWriter(output, [*all_rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "address": _inert(row["address"])} for row in all_rows)
    return output.getvalue()


def _inert(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in tuple("=+-@") else text


def _rows(file: Path, text: str) -> list[dict[str, Any]]:
    match file.suffix:
        case ".json":
            rows: list[dict[str, Any]] = json.loads(text)["logins"]
            return rows
        case ".html":
            return cards.rows(text)
        case _:
            return [*csv.DictReader(io.StringIO(text))]


def _login(row: Mapping[str, Any]) -> Login:
    state: State = "valid" if row["state"] == "valid" else "pending"
    device = Device(row["device_id"], row["cabinet_id"], row["address"].removeprefix("'"))
    return Login(device, row["password"], state)
