"""`python -m tests.campaign.fuzz`: made-up bytes for the decoder, made-up events for the trigger.

The first input that breaks a promise ends it, and is printed with the seed that makes it again.
Promises: `check_decoding` and `Trigger.check`.
"""

import argparse
import base64
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from local import signals
from local.postgres import Postgres
from shared import db
from shared.protocols import Undecodable, native_v1
from shared.repo import stats
from tests import database
from tests.campaign import events, messages
from tests.campaign.messages import dice
from tests.service import Service, record, running

DEVICES = ["C-1", "C-2"]
CANARY = "C-9"
BATCH = 40
BATCHES_A_DATABASE = 100


class Broken(AssertionError):
    """A promise was broken; by which input."""

    def __init__(self, why: object, made: bytes) -> None:
        super().__init__(f"{why}\ninput, base64: {base64.b64encode(made).decode()}")


def tell(line: str) -> None:
    """Show how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# --- the decoder ------------------------------------------------------------------------------


def check_decoding(payload: bytes) -> bool:
    """The decoder gives a message that is in the bytes, or says Undecodable. Which it did."""
    try:
        message = native_v1.decode(payload)
    except Undecodable as error:
        if not str(error):
            raise Broken("refused without a word", payload) from None
        return False
    except BaseException as error:
        raise Broken(f"raised {error!r}", payload) from error
    said = json.loads(payload)  # another reader of JSON
    for name in ("v", "type", "boot_id", "seq"):
        if getattr(message, name) != said[name]:
            raise Broken(f"{name} is {said[name]!r} and was read otherwise", payload)
    if len(payload) > messages.MAX_BYTES:
        raise Broken("is longer than allowed, and was read", payload)
    return True


# --- the trigger ------------------------------------------------------------------------------


@dataclass
class Trigger:
    """The trigger function on a database with cabinets whose commands are unanswered."""

    service: Service
    commands: list[str] = field(default_factory=list)
    told: int = 0

    def prepare(self) -> None:
        """Begin anew: full cabinets, and commands in every state of doubt."""
        tables = "cabinets, accumulators, movements, bookings, commands, anomalies"
        self.service.sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        self.service.cabinets.clear()
        self.service.add_cabinet(CANARY, charges=[0])
        for device in DEVICES:
            self.service.add_cabinet(device, charges=[90, 90, 90])
        self.service.lose_commands = True
        for device in DEVICES:
            for kind in ("issue", "return"):
                wanted = {"cabinet_id": device, "contractor_id": "T-1", "kind": kind, "count": 2}
                self.service.unlock(self.service.post("/v1/bookings", wanted))
            asked = {"kind": "report_state", "reason": "a campaign"}
            self.service.call("POST", f"/v1/cabinets/{device}/commands", asked, key="operator")
        self.service.lose_commands = False
        self.commands = [
            str(row["command_id"]) for row in self.service.sql("SELECT command_id FROM commands")
        ]

    def check(self, rng: random.Random) -> int:
        """One batch, delivered once or twice, keeps every promise. How many records it had."""
        batch = events.batch(rng, DEVICES, self.commands, size=rng.randint(1, BATCH))
        charge = self._tell_a_charge(rng, batch)
        event = {"messages": batch}
        try:
            self._deliver(event, charge)
            if rng.random() < 0.3:
                self._deliver(event, charge)
        except Exception as error:
            raise Broken(error, json.dumps(event).encode()) from error
        self.service.sql("TRUNCATE anomalies")
        return len(batch)

    def _tell_a_charge(self, rng: random.Random, batch: list[events.Record]) -> int:
        """Put a valid message of another cabinet among the others."""
        self.told += 1
        charge = self.told % 101
        cell = {"cell_number": 1, "door": "closed", "accumulator_id": f"{CANARY}.A-1"}
        message = {
            "v": 1,
            "type": "cell_event",
            "boot_id": "canary",
            "seq": self.told,
            "cell": {**cell, "battery_charge": charge},
        }
        batch.insert(rng.randint(0, len(batch)), record(CANARY, message))
        return charge

    def _deliver(self, event: Any, charge: int) -> None:
        self.service.pool.invoke("mqtt_trigger", event, timeout=30)
        assert self._charge() == charge, "a valid message in the batch was not applied"
        self._check_accounts(event["messages"])
        with db.statements() as tx:
            assert stats.violations(tx) == []

    def _charge(self) -> int:
        sql = "SELECT battery_charge FROM accumulators WHERE accumulator_id = %(id)s"
        with db.statements() as tx:
            charge: int = tx.one(sql, {"id": f"{CANARY}.A-1"})["battery_charge"]
        return charge

    def _check_accounts(self, batch: list[events.Record]) -> None:
        """What cannot be applied is kept once, byte for byte; what was applied is not refused."""
        with db.statements() as tx:
            kept = Counter(
                (row["event_id"], row["device_id"], bytes(row["payload"]))
                for row in tx.all("SELECT event_id, device_id, payload, reason FROM anomalies")
                if row["reason"] in {"malformed", "unknown_device"}
            )
            heard = {row["boot_id"] for row in tx.all("SELECT boot_id FROM boots")}
        refused = set()
        for one in map(events.expected, batch):
            boot_id = _boot_id(one)
            if boot_id is not None:
                assert boot_id in heard, "a message that can be read was not applied"
                continue
            [found] = [k for k in kept if k[1:] == (one.device_id, one.payload) and _same(k, one)]
            assert kept[found] == 1, "kept more than once"
            refused.add(found)
        twice = {k for k in kept if k not in refused and not _names_a_cell_twice(k[2])}
        assert not twice, f"kept, although it was applied or never sent: {twice}"


def _same(kept: tuple[str, str, bytes], one: events.Expected) -> bool:
    return one.event_id is None or kept[0] == one.event_id


def _boot_id(one: events.Expected) -> str | None:
    """Whose boot a message was that must have been applied."""
    with suppress(Undecodable):
        if one.device_id in {*DEVICES, CANARY}:
            return native_v1.decode(one.payload).boot_id
    return None


def _names_a_cell_twice(payload: bytes) -> bool:
    numbers = [cell["cell_number"] for cell in json.loads(payload)["cells"]]
    return len(numbers) != len(set(numbers))


# --- campaigns --------------------------------------------------------------------------------


def decode_for(seconds: float, seed: int) -> Counter[str]:
    """Made-up bytes for so long; how many were read and refused. Raises Broken."""
    counts: Counter[str] = Counter()
    for number in _numbers_for(seconds, counts):
        made = messages.payload(dice(seed, number))
        counts["read" if check_decoding(made) else "refused"] += 1
    return counts


def trigger_for(seconds: float, seed: int, service: Service) -> Counter[str]:
    """Made-up events for so long; how many batches and records. Raises Broken."""
    counts: Counter[str] = Counter()
    trigger = Trigger(service)
    for number in _numbers_for(seconds, counts):
        if number % BATCHES_A_DATABASE == 0:
            trigger.prepare()
        counts["records"] += trigger.check(dice(seed, number))
        counts["batches"] += 1
    return counts


def _numbers_for(seconds: float, counts: Counter[str]) -> Iterator[int]:
    begun = told = time.monotonic()
    number = 0
    while (now := time.monotonic()) < begun + seconds:
        yield number
        number += 1
        if now > told + 10:
            told = now
            tell(f"{now - begun:.0f} s: {dict(counts)}")


@contextmanager
def a_service() -> Iterator[Service]:
    """The service on a PostgreSQL of its own, whose commands nobody waits for."""
    with (
        database.fast_directory() as directory,
        Postgres(directory, durable=False) as server,
        database.cloned(server, database.make_template(server)) as url,
        pytest.MonkeyPatch.context() as patch,
        running(url, patch, UNLOCK_WAIT_SECONDS="0.02", LOG_LEVEL="ERROR") as service,
    ):
        yield service


def main() -> int:
    """Fuzz the decoder for half of the time and the trigger for the other half."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    seed, half = arguments.seed, arguments.seconds / 2
    signals.heed()
    tell(f"seed {seed}; Ctrl-C ends it")
    try:
        tell(f"decoder: {dict(decode_for(half, seed))}")
        with a_service() as service:
            tell(f"trigger: {dict(trigger_for(half, seed, service))}")
    except Broken as broken:
        tell(f"seed {seed}: {broken}")
        return 1
    except KeyboardInterrupt:
        tell("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
