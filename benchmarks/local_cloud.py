"""A local cloud in its own process, and cabinets in this process whose replies are timed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2

from bridge.settings import Settings as BridgeSettings
from local import addresses
from local.api import Api
from local.broker import SERVICE_LOGIN, find_mosquitto
from local.cabinet.device import Device
from local.cabinet.hardware import Accumulator, Cell, Hardware
from local.cabinet.runtime import Runtime
from local.children import ending_with_parent
from local.stack import API_KEYS
from shared.config import Settings

ROOT = Path(__file__).parents[1]
CELLS = 12

_PATIENT = {"OFFLINE_AFTER_SECONDS": "86400"}  # the cabinets report once
_ACCUMULATORS = """
    WITH fresh AS (
        INSERT INTO accumulators (accumulator_id) SELECT unnest(%(ids)s) RETURNING accumulator_id)
    INSERT INTO movements (accumulator_id, cause) SELECT accumulator_id, 'registered' FROM fresh"""
_MEMORY = Path("/dev/shm")  # noqa: S108 - the directories in it are made safely
_ENOUGH = 512 * 2**20
_SETTINGS = {name.upper() for name in Settings.model_fields | BridgeSettings.model_fields}


class TimedCabinet(Device):
    """A cabinet full of charged accumulators that records when it last sent a message."""

    def __init__(self, cabinet_id: str, runtime: Runtime) -> None:
        self.accumulators = [Accumulator(f"{cabinet_id}-{n}", 95, 98) for n in range(1, CELLS + 1)]
        cells = [Cell(number, one) for number, one in enumerate(self.accumulators, 1)]
        rng = random.Random(cabinet_id)  # noqa: S311 - not a secret
        super().__init__(
            Hardware(cabinet_id, cells, now=lambda: datetime.now(UTC), rng=rng), runtime
        )
        self.spoke_at = 0.0

    def send_raw(self, payload: bytes) -> None:
        """Record time.perf_counter() and write the message to the socket."""
        self.spoke_at = time.perf_counter()
        super().send_raw(payload)


@dataclass(frozen=True)
class LocalCloud:
    """A running local cloud: its process, addresses and cabinets."""

    process: subprocess.Popen[bytes]
    addresses: dict[str, Any]
    data_dir: Path
    cabinets: list[TimedCabinet]

    @property
    def backend(self) -> Api:
        """The API with the backend's key."""
        return Api(self.addresses["http_url"], API_KEYS["backend"])

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables of a function of this cloud."""
        username, password = SERVICE_LOGIN
        return {
            **_PATIENT,
            "DATABASE_URL": self.addresses["database_url"],
            "MQTT_HOST": self.addresses["mqtt_host"],
            "MQTT_PORT": str(self.addresses["mqtt_service_port"]),
            "MQTT_TLS": "false",
            "MQTT_VERSION": "5" if find_mosquitto() else "3.1.1",
            "MQTT_USERNAME": username,
            "MQTT_PASSWORD": password,
        }

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows."""
        with closing(psycopg2.connect(self.addresses["database_url"])) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

    def audit(self) -> None:
        """Raise if the service's audit finds a violation."""
        found = Api(self.addresses["http_url"], API_KEYS["read"]).get("/v1/stats")["audit"]
        if not found["ok"]:
            raise RuntimeError(f"the audit found violations: {found['violations'][:3]}")


@contextmanager
def running(cabinets: int, more: Mapping[str, str] | None = None) -> Iterator[LocalCloud]:
    """A local cloud with this number of cabinets, all full of charged accumulators.

    `more`: settings besides the usual ones.
    """
    runtime = Runtime()
    fleet = [TimedCabinet(f"B-{number:03}", runtime) for number in range(1, cabinets + 1)]
    with _fast_directory() as data_dir, _process(data_dir, more or {}) as process:
        cloud = LocalCloud(process, addresses.read(data_dir), data_dir, fleet)
        runtime.start()
        runtime.network.start()
        try:
            _start(cloud)
            yield cloud
        finally:
            runtime.stop()
            for cabinet in fleet:
                cabinet.stop()
            runtime.network.stop()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of this process, with these settings and no others of the service."""
    ours = os.environ.items()  # noqa: TID251 - a child inherits it
    return {name: value for name, value in ours if name not in _SETTINGS} | {**settings}


def wait_until(condition: Callable[[], bool], complaint: str, *, seconds: float = 30) -> None:
    """Return as soon as the condition holds; raise TimeoutError with the complaint."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{complaint} after {seconds:g} s")
        time.sleep(0.005)


@contextmanager
def _fast_directory() -> Iterator[Path]:
    """A temporary directory, in memory if there is enough."""
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ENOUGH
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=_MEMORY if roomy else None) as path:
        yield Path(path)


@contextmanager
def _process(data_dir: Path, more: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m local up`; yield its process once it is ready."""
    command = [sys.executable, "-m", "local", "up", "--data-dir", str(data_dir)]
    command += ["--http-port", "0", "--mqtt-port", "0"]
    command += ["--cabinets", "0", "--poll-seconds", "86400", "--no-rate-limits"]
    command = ending_with_parent(
        command, user=0, stop_signal=signal.SIGKILL
    )  # also while it is stopped
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env=environment({**_PATIENT, **more}),
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            screen = process.stdout or ()
            if not any(line.startswith(b"ready: ") for line in screen):
                raise RuntimeError("the local cloud did not start; its error is printed above")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.communicate()


def _start(cloud: LocalCloud) -> None:
    """Register and start the cabinets; return when their reports have been applied."""
    operator = Api(cloud.addresses["http_url"], API_KEYS["operator"])
    for cabinet in cloud.cabinets:
        body = {"cabinet_id": cabinet.device_id, "coords": {"lat": 55.7, "lon": 37.6}}
        operator.post("/v1/cabinets", {**body, "cells_total": CELLS})
    ids = [one.accumulator_id for cabinet in cloud.cabinets for one in cabinet.accumulators]
    cloud.sql(_ACCUMULATORS, ids=ids)
    for cabinet in cloud.cabinets:
        cabinet.start(cloud.addresses["mqtt_host"], cloud.addresses["mqtt_port"])
    known = "SELECT count(*) FROM accumulators WHERE cell_number IS NOT NULL"
    wait_until(lambda: cloud.sql(known) == [(len(ids),)], "the cabinets' reports are not applied")
