"""Random records of the IoT trigger's event, and what the service must store of each.

The expectation follows the contract and uses no code under test.
"""

import base64
import binascii
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.campaign import messages
from tests.support.service import record

Record = Any

# fmt: off
STRANGE_VALUES: list[Any] = [
    None, True, 0, -1, 1.5, "", " ", "%%%", "abc", "YQ", "YQ=", "Y Q==", "YQ==\n", "_-==",
    "YQ==YQ==", "шкаф", "\x00", "\ud800", "😀", "\u202e", "x" * 200, "x" * 201, "x" * 100_000,
    [], {}, [[]], {"a": None}, "C-1\n", "c-1", "'; DROP TABLE anomalies; --", "%s", float("nan"),
    float("inf"),
]
KEYS = [
    ("event_metadata",), ("details",), ("event_metadata", "event_id"), ("details", "device_id"),
    ("details", "payload"), ("details", "mqtt_topic"), ("event_metadata", "created_at"),
]
# fmt: on
_ID = re.compile(r"[ -~]{1,200}")


@dataclass(frozen=True)
class Expected:
    """The expected result of a record."""

    event_id: str | None
    """None for a malformed record, which is stored as an anomaly without a device."""
    device_id: str
    payload: bytes


def batch(
    rng: random.Random, devices: Sequence[str], commands: Sequence[str], *, size: int
) -> list[Record]:
    """Return records of random messages; one in ten is mutated, one in ten is doubled."""
    records = []
    for _ in range(size):
        device = rng.choice([*devices, *devices, "C-404"])
        made = record(device, messages.payload(rng, commands), event_id=f"e-{rng.getrandbits(64)}")
        if rng.random() < 0.1:
            made = _mutated(rng, made)
        records += [made] * (2 if rng.random() < 0.1 else 1)
    return records


def expected(one: Record) -> Expected:
    """Return the expected result of a record."""
    try:
        event_id, details = one["event_metadata"]["event_id"], one["details"]
        device_id, payload = details["device_id"], details["payload"]
        if isinstance(payload, str) and _is_id(event_id) and _is_id(device_id):
            return Expected(event_id, device_id, base64.b64decode(payload, validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error):
        pass
    return Expected(None, "", json.dumps(one, sort_keys=True).encode())


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def _mutated(rng: random.Random, one: Record) -> Record:
    kind = rng.random()
    if kind < 0.2:
        return rng.choice([*STRANGE_VALUES, _deep(rng)])
    *path, last = rng.choice(KEYS)
    parent = one
    for name in path:
        parent = parent[name]
    if kind < 0.4:
        del parent[last]
    else:
        parent[last] = rng.choice(STRANGE_VALUES)
    return one


def _deep(rng: random.Random) -> Record:
    value: Record = rng.random()
    for _ in range(rng.choice([10, 100, 500])):
        value = rng.choice([[value], {"a": value}])
    return value
