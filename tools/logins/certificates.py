"""Client certificates, which the script terraform/broker/certificates makes and revokes."""

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel

from shared import config
from tools import ToolError

REVOKED = "certificates/revoked"
"""The entry with the revocation list; the slash makes it different from every device id."""
_BROKER = Path(__file__).parents[2] / "terraform" / "broker"


class _Environment(BaseModel):
    """The environment variable with the directory of the CA."""

    pki: Path = _BROKER / "pki"


def directory() -> Path:
    """Return the directory of the CA and the certificates."""
    return config.read(_Environment, os.environ).pki  # noqa: TID251 - a tool's settings


def certified() -> set[str]:
    """Return the devices with a certificate."""
    return {file.stem for file in directory().glob("devices/*.pem")}


def has_authority() -> bool:
    """Return whether the CA's key is on this machine."""
    return (directory() / "ca.key").exists()


def revocation_list() -> dict[str, str]:
    """Return the entry with this machine's revocation list; empty if it has none."""
    file = directory() / "revoked.pem"
    return {REVOKED: file.read_text()} if file.exists() else {}


def issue(device_ids: Iterable[str], advance: Callable[[], None]) -> None:
    """Sign a certificate for each device, and print the names of its files. Raises ToolError."""
    for device_id in device_ids:
        print(_run("device", device_id))
        advance()


def revoke(device_ids: Iterable[str]) -> list[str]:
    """Put certificates on the revocation list; return the devices that never had one."""
    return [one for one in device_ids if not _is_revoked(one)]


def _is_revoked(device_id: str) -> bool:
    try:
        _run("revoke", device_id)
    except ToolError as error:
        if "no certificate of" in str(error):
            return False
        raise
    return True


def _run(action: str, device_id: str) -> str:
    command = [str(_BROKER / "certificates"), action, device_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise ToolError(done.stderr.strip() or f"certificates {action} {device_id} failed")
    return done.stdout.strip()
