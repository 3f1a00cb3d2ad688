"""stack.json: where a running stack's parts are, for whoever wants to talk to them."""

import json
from pathlib import Path
from typing import Any

from local import CannotStart

_NAME = "stack.json"


def write(data_dir: Path, addresses: dict[str, Any]) -> None:
    """Tell where everything is, all at once; only the owner may read it: it may hold a password."""
    fresh = data_dir / f"{_NAME}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(addresses, indent=2) + "\n")
    fresh.replace(data_dir / _NAME)


def read(data_dir: Path) -> dict[str, Any]:
    """Where a running stack's parts are. Raises CannotStart if none runs on this directory."""
    try:
        found: dict[str, Any] = json.loads((data_dir / _NAME).read_text())
    except (OSError, ValueError):
        raise CannotStart(
            f"no stack runs on {data_dir}: start one with `python -m local up`"
            f" (or name its --data-dir)"
        ) from None
    return found


def forget(data_dir: Path) -> None:
    """The stack is no more."""
    (data_dir / _NAME).unlink(missing_ok=True)
