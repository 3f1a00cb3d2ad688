"""Made-up records of the IoT trigger's event, and what must become of each.

What a record must become is said here anew, from the contract, and not by the code under test.
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
from tests.service import record

Record = Any

# fmt: off
STRANGE: list[Any] = [
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
_WORD = re.compile(r"[ -~]{1,200}")


@dataclass(frozen=True)
class Expected:
    """What the contract says of a record."""

    event_id: str | None
    """None: it is no record, and is kept as one of nobody."""
    device_id: str
    payload: bytes


def batch(
    rng: random.Random, devices: Sequence[str], commands: Sequence[str], *, size: int
) -> list[Record]:
    """Records of made-up messages; one in ten is spoiled itself, one in ten comes twice."""
    records = []
    for _ in range(size):
        device = rng.choice([*devices, *devices, "C-404"])
        one = record(device, messages.payload(rng, commands), event_id=f"e-{rng.getrandbits(64)}")
        if rng.random() < 0.1:
            one = _spoiled(rng, one)
        records += [one] * (2 if rng.random() < 0.1 else 1)
    return records


def expected(one: Record) -> Expected:
    """What must become of a record."""
    try:
        event_id, details = one["event_metadata"]["event_id"], one["details"]
        device_id, payload = details["device_id"], details["payload"]
        if isinstance(payload, str) and _is_word(event_id) and _is_word(device_id):
            return Expected(event_id, device_id, base64.b64decode(payload, validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error):
        pass
    return Expected(None, "", json.dumps(one, sort_keys=True).encode())


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(_WORD.fullmatch(value))


def _spoiled(rng: random.Random, one: Record) -> Record:
    way = rng.random()
    if way < 0.2:
        return rng.choice([*STRANGE, _deep(rng)])
    *path, last = rng.choice(KEYS)
    where = one
    for name in path:
        where = where[name]
    if way < 0.4:
        del where[last]
    else:
        where[last] = rng.choice(STRANGE)
    return one


def _deep(rng: random.Random) -> Record:
    value: Record = rng.random()
    for _ in range(rng.choice([10, 100, 500])):
        value = rng.choice([[value], {"a": value}])
    return value
