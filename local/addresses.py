"""stack.json: the addresses of a running stack's parts."""

import json
import socket
from pathlib import Path
from typing import Any

from local import CannotStart

_NAME = "stack.json"


def write(data_dir: Path, addresses: dict[str, Any]) -> None:
    """Write the addresses atomically; readable by the owner only, as it may have a password."""
    fresh = data_dir / f"{_NAME}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(addresses, indent=2) + "\n")
    fresh.replace(data_dir / _NAME)


def read(data_dir: Path) -> dict[str, Any]:
    """Return the addresses of the stack that runs on this directory. Raises CannotStart."""
    try:
        found: dict[str, Any] = json.loads((data_dir / _NAME).read_text())
    except (OSError, ValueError):
        raise CannotStart(
            f"no stack runs on {data_dir}: start one with `python -m local up`"
            f" (or name its --data-dir)"
        ) from None
    return found


def delete(data_dir: Path) -> None:
    """Delete the file when the stack stops."""
    (data_dir / _NAME).unlink(missing_ok=True)


def is_any(listen: str) -> bool:
    """Return whether a server that listens at this address is reached at every one."""
    return listen in {"0.0.0.0", "::"}  # noqa: S104 - only compared


def reachable(listen: str) -> str:
    """Return the address at which the network reaches a server that listens at this one."""
    if not is_any(listen):
        return listen
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
