"""Which logins were never used, by what the service knows of their cabinets."""

from collections.abc import Iterable, Mapping
from typing import Any

NEVER_SEEN = "never-connected"
NO_CABINET = "no-cabinet"


def reasons_unused(
    device_ids: Iterable[str], cabinets: Iterable[Mapping[str, Any]]
) -> dict[str, str]:
    """Return why each unused login is one: its cabinet was never seen, or there is no cabinet."""
    seen = {one["device_id"]: one["last_seen_at"] is not None for one in cabinets}
    return {
        device_id: NEVER_SEEN if device_id in seen else NO_CABINET
        for device_id in device_ids
        if not seen.get(device_id)
    }
