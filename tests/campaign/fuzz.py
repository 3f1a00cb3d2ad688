"""Send random bytes to the decoder and random events to the trigger function.

The run ends at the first input that breaks a promise, and prints it with the seed that reproduces
it. The promises are in `check_decoding` and `TriggerFuzzer.check`.
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
from shared.messages import AnyMessage, Goodbye
from shared.protocols import Undecodable, native_v1
from shared.protocols.native_v1.reading import AROUND
from shared.repo import anomalies, stats
from tests.campaign import events, messages
from tests.campaign.messages import rng_for
from tests.support import database
from tests.support.service import Service, record, running

DEVICES = ["C-1", "C-2"]
CANARY = "C-9"
BATCH = 40
BATCHES_A_DATABASE = 100
MIN_INPUTS = 10
"""How many inputs a run makes, even if its time is over."""


class PromiseBroken(AssertionError):
    """An input broke a promise."""

    def __init__(self, why: object, data: bytes) -> None:
        super().__init__(f"{why}\ninput, base64: {base64.b64encode(data).decode()}")


def print_line(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# --- the decoder ------------------------------------------------------------------------------


def check_decoding(payload: bytes) -> bool:
    """Check that the decoder returns the message in the bytes, or raises Undecodable.

    Return whether it returned a message.
    """
    try:
        message = native_v1.decode(payload).message
    except Undecodable as error:
        if not str(error):
            raise PromiseBroken("Undecodable without a reason", payload) from None
        return False
    except BaseException as error:
        raise PromiseBroken(f"raised {error!r}", payload) from error
    # Another JSON parser, which limits the digits of an int.
    expected = json.loads(payload.decode().strip(AROUND), parse_int=float)
    for name in ("v", "type", "boot_id", "seq"):
        if hasattr(message, name) and not _is_same(getattr(message, name), expected[name]):
            raise PromiseBroken(f"{name} is not {expected[name]!r} after decoding", payload)
    if len(payload) > messages.MAX_BYTES:
        raise PromiseBroken("a message above the size limit was decoded", payload)
    return True


def _is_same(decoded: Any, sent: Any) -> bool:
    """Whether a value is what was sent: a number may be written in any way, an id as a number."""
    return decoded == sent or float(decoded) == float(sent)


# --- the trigger ------------------------------------------------------------------------------


@dataclass
class TriggerFuzzer:
    """The trigger function on a database with cabinets whose commands are unanswered."""

    service: Service
    commands: list[str] = field(default_factory=list)
    canaries: int = 0

    def prepare(self) -> None:
        """Reset the database: full cabinets, and unsettled commands of each kind."""
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
            command = {"kind": "report_state", "reason": "a campaign"}
            self.service.call("POST", f"/v1/cabinets/{device}/commands", command, key="operator")
        self.service.lose_commands = False
        self.commands = [
            str(row["command_id"]) for row in self.service.sql("SELECT command_id FROM commands")
        ]

    def check(self, rng: random.Random) -> int:
        """Deliver a random batch once or twice and check every promise; return its size."""
        batch = events.batch(rng, DEVICES, self.commands, size=rng.randint(1, BATCH))
        charge = self._insert_canary(rng, batch)
        event = {"messages": batch}
        try:
            self._deliver(event, charge)
            if rng.random() < 0.3:
                self._deliver(event, charge)
        except Exception as error:
            raise PromiseBroken(error, json.dumps(event).encode()) from error
        self.service.sql("TRUNCATE anomalies")
        return len(batch)

    def _insert_canary(self, rng: random.Random, batch: list[events.Record]) -> int:
        """Insert a valid message of another cabinet into a batch; return the charge it reports."""
        self.canaries += 1
        charge = self.canaries % 101
        cell = {"cell_number": 1, "door": "closed", "accumulator_id": f"{CANARY}.A-1"}
        message = {
            "v": 1,
            "type": "cell_event",
            "boot_id": "canary",
            "seq": self.canaries,
            "cell": {**cell, "battery_charge": charge},
        }
        batch.insert(rng.randint(0, len(batch)), record(CANARY, message))
        return charge

    def _deliver(self, event: Any, charge: int) -> None:
        self.service.pool.invoke("mqtt_trigger", event, timeout=30)
        assert self._charge() == charge, "a valid message in the batch was not applied"
        self._check_anomalies(event["messages"])
        with db.statements() as tx:
            assert stats.violations(tx) == []

    def _charge(self) -> int:
        sql = "SELECT battery_charge FROM accumulators WHERE accumulator_id = %(id)s"
        with db.statements() as tx:
            charge: int = tx.one(sql, {"id": f"{CANARY}.A-1"})["battery_charge"]
        return charge

    def _check_anomalies(self, batch: list[events.Record]) -> None:
        """Check that each record was either applied, or is counted by an anomaly.

        The anomaly keeps the first bytes of the last record for which it is counted.
        """
        with db.statements() as tx:
            kept = [
                row
                for row in tx.all("SELECT device_id, payload, reason, count FROM anomalies")
                if row["reason"] in {"malformed", "unknown_device"}
            ]
            applied = {row["boot_id"] for row in tx.all("SELECT boot_id FROM boots")}
        refused = []
        for one in map(events.expected, batch):
            message = _message(one)
            if message is None:
                refused.append(one)
            elif not isinstance(message, Goodbye):  # a last will starts no boot
                assert message.boot_id in applied, "a valid message was not applied"
        sent = {(one.device_id, one.payload[: anomalies.BYTES_KEPT]) for one in refused}
        for row in kept:
            content = (row["device_id"], bytes(row["payload"]))
            assert content in sent, f"stored, although applied or never sent: {content}"
        for device_id in {one.device_id for one in refused}:
            counted = sum(row["count"] for row in kept if row["device_id"] == device_id)
            distinct = {
                (one.event_id, one.payload) for one in refused if one.device_id == device_id
            }
            assert counted >= len(distinct), f"not all refused records of {device_id} are counted"


def _message(one: events.Expected) -> AnyMessage | None:
    """Return the message that must have been applied; None if the record must be refused."""
    with suppress(Undecodable):
        if one.device_id in {*DEVICES, CANARY}:
            return native_v1.decode(one.payload).message
    return None


# --- campaigns --------------------------------------------------------------------------------


def decode_for(seconds: float, seed: int) -> Counter[str]:
    """Decode random bytes for some time; count the results. Raises PromiseBroken."""
    counts: Counter[str] = Counter()
    for number in _numbers_for(seconds, counts):
        payload = messages.payload(rng_for(seed, number))
        counts["decoded" if check_decoding(payload) else "refused"] += 1
    return counts


def trigger_for(seconds: float, seed: int, service: Service) -> Counter[str]:
    """Deliver random events for some time; count batches and records. Raises PromiseBroken."""
    counts: Counter[str] = Counter()
    trigger = TriggerFuzzer(service)
    for number in _numbers_for(seconds, counts):
        if number % BATCHES_A_DATABASE == 0:
            trigger.prepare()
        counts["records"] += trigger.check(rng_for(seed, number))
        counts["batches"] += 1
    return counts


def _numbers_for(seconds: float, counts: Counter[str]) -> Iterator[int]:
    started = printed = time.monotonic()
    number = 0
    while (now := time.monotonic()) < started + seconds or number < MIN_INPUTS:
        yield number
        number += 1
        if now > printed + 10:
            printed = now
            print_line(f"{now - started:.0f} s: {dict(counts)}")


@contextmanager
def quick_service() -> Iterator[Service]:
    """The service on a new PostgreSQL server, with a short wait for replies."""
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
    parser.add_argument("--seconds", type=float, default=60, help="half for each of the two")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    arguments = parser.parse_args()
    seed, half = arguments.seed, arguments.seconds / 2
    signals.handle()
    print_line(f"seed {seed}; Ctrl-C stops")
    try:
        print_line(f"decoder: {dict(decode_for(half, seed))}")
        with quick_service() as service:
            print_line(f"trigger: {dict(trigger_for(half, seed, service))}")
    except PromiseBroken as broken:
        print_line(f"seed {seed}: {broken}")
        return 1
    except KeyboardInterrupt:
        print_line("interrupted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
