"""The service in one process for integration tests: real handlers, real PostgreSQL, no broker.

Requests go through the local gateway and every answer is checked against the OpenAPI document.
Cabinets are the simulated hardware; what it says is handed to the trigger function, when the test
lets it.
"""

import base64
import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import psycopg2.extras
import pytest
from werkzeug.test import Client

from local.cabinet.cells import Cell
from local.cabinet.hardware import Accumulator, Hardware
from local.functions import FunctionPool
from local.gateway import Gateway
from local.timer import timer_event
from shared import config
from shared.errors import QueueUnavailable
from tests import database
from tests.openapi_check import check_answer

Message = dict[str, Any]
KEYS = {"operator": "key-of-operator", "backend": "key-of-backend", "read": "key-of-read"}
DOCUMENT = json.loads((Path(__file__).parents[1] / "docs" / "openapi.json").read_text())


@dataclass
class Queue:
    """The message queue, as the functions see it: remembers what was published."""

    published: list[tuple[str | None, Message]] = field(default_factory=list)
    down: bool = False
    arrive: Callable[[str | None, Message], None] = lambda _device, _command: None
    """What happens when a command arrives: the test's cabinets."""

    def publish(self, device_id: str | None, payload: bytes) -> None:
        """As shared.mqtt.Publisher."""
        if self.down:
            raise QueueUnavailable
        command = json.loads(payload)
        self.published.append((device_id, command))
        self.arrive(device_id, command)

    def commands(self, kind: str) -> list[Message]:
        """The commands of one kind that were published, in order."""
        return [command for _, command in self.published if command["kind"] == kind]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: Any
    headers: dict[str, str]


class Service:
    """What a test can do to the service and learn from it."""

    def __init__(self, url: str, queue: Queue, pool: FunctionPool) -> None:
        self.queue = queue
        self.pool = pool
        self.url = url
        self.cabinets: dict[str, Hardware] = {}
        self.waiting: list[tuple[str, Message]] = []
        """What cabinets have said and nobody has delivered yet, while `hold_messages`."""
        self.hold_messages = False
        self.lose_commands = False
        self._client = Client(Gateway(DOCUMENT, pool, port=0).app)
        queue.arrive = self._arrive

    # --- HTTP ---------------------------------------------------------------------------------

    def call(  # noqa: PLR0913 - an HTTP request has that many parts
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "backend",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        """One request with the key of that scope, or none; the answer is as documented."""
        sent = {"Authorization": f"Bearer {KEYS.get(key, key)}"} if key else {}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        got = self._client.open(path, method=method, data=data, headers=sent | (headers or {}))
        check_answer(method, path, got.status_code, dict(got.headers), got.data)
        parsed = json.loads(got.data) if got.data else None
        return Answer(got.status_code, parsed, dict(got.headers))

    def get(self, path: str) -> Any:
        """The body of a 200."""
        return self._succeed("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """The body of a 200 or 201, with the operator's key."""
        return self._succeed("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """The body of a 200, with the operator's key."""
        return self._succeed("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """The body of a 200, or None of a 204, with the operator's key."""
        return self._succeed("DELETE", path)

    def _succeed(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.call(method, path, body, key="operator")
        assert answer.status in {200, 201, 204}, answer
        return answer.body

    # --- cabinets -----------------------------------------------------------------------------

    def add_cabinet(
        self, cabinet_id: str = "C-1", *, charges: Iterable[int | None] = (), cells: int = 6
    ) -> Hardware:
        """A registered cabinet that has reported: cell n holds A-n of that cabinet and charge.

        Its accumulators are named C-1.A-1, C-1.A-2, …, and are known to the service.
        """
        hardware = self.connect(cabinet_id, cells)
        for number, charge in enumerate(charges, start=1):
            accumulator_id = f"{cabinet_id}.A-{number}"
            self.post("/v1/accumulators", {"accumulator_id": accumulator_id})
            hardware.cells[number].accumulator = Accumulator(accumulator_id, charge)
        self.report(cabinet_id)
        return hardware

    def connect(self, cabinet_id: str, cells: int = 6) -> Hardware:
        """A registered, empty cabinet that has not said anything yet."""
        coords = {"lat": 55.75, "lon": 37.62}
        body = {"cabinet_id": cabinet_id, "coords": coords, "cells_total": cells}
        self.post("/v1/cabinets", body)
        hardware = Hardware(
            cabinet_id,
            [Cell(number) for number in range(1, cells + 1)],
            now=lambda: datetime.now(UTC),
            rng=random.Random(1),  # noqa: S311 - a simulation
        )
        self.cabinets[cabinet_id] = hardware
        return hardware

    def report(self, cabinet_id: str = "C-1", command_id: str | None = None) -> None:
        """The cabinet sends its complete state."""
        self.say(cabinet_id, self.cabinets[cabinet_id].state_report(command_id))

    def act(self, cabinet_id: str, action: Callable[[Hardware], object]) -> None:
        """Do something to a cabinet with hands; it tells what its sensors notice."""
        hardware = self.cabinets[cabinet_id]
        action(hardware)
        self.say(cabinet_id, *hardware.noticed())

    def take(self, cell_number: int, cabinet_id: str = "C-1") -> Accumulator:
        """Take an accumulator out of an open cell and close the door."""
        hardware = self.cabinets[cabinet_id]
        accumulator = hardware.remove(cell_number)
        hardware.close_door(cell_number)
        self.say(cabinet_id, *hardware.noticed())
        return accumulator

    def put(self, cell_number: int, accumulator: Accumulator, cabinet_id: str = "C-1") -> None:
        """Put an accumulator into an open cell and close the door."""
        hardware = self.cabinets[cabinet_id]
        hardware.insert(cell_number, accumulator)
        hardware.close_door(cell_number)
        self.say(cabinet_id, *hardware.noticed())

    def say(self, cabinet_id: str, *messages: Message | bytes) -> None:
        """A cabinet sends messages; they arrive at once, unless `hold_messages`."""
        if self.hold_messages:
            self.waiting += [(cabinet_id, m) for m in messages if isinstance(m, dict)]
        else:
            self.deliver(*[(cabinet_id, message) for message in messages])

    def deliver(self, *messages: tuple[str, Message | bytes], event_id: str = "") -> Any:
        """Hand messages to the trigger function in one batch, as the bridge does."""
        if messages:
            event = {"messages": [record(*message, event_id=event_id) for message in messages]}
            return self.pool.invoke("mqtt_trigger", event, timeout=30)
        return None

    def deliver_waiting(self) -> None:
        """Deliver what was held back."""
        waiting, self.waiting = self.waiting, []
        self.deliver(*waiting)

    def poll(self) -> Any:
        """The timer fires."""
        return self.pool.invoke("poll_cabinets", timer_event(), timeout=30)

    def _arrive(self, device_id: str | None, command: Message) -> None:
        for cabinet_id, hardware in self.cabinets.items():
            if self.lose_commands or device_id not in {None, cabinet_id}:
                continue
            for reply in hardware.handle(command, broadcast=device_id is None):
                self.say(cabinet_id, reply.make())
            self.say(cabinet_id, *hardware.noticed())

    # --- bookings -----------------------------------------------------------------------------

    def book(self, count: int = 1, kind: str = "issue", **more: Any) -> Any:
        """A booking at C-1 for T-1 unless `more` says otherwise."""
        body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": kind, "count": count}
        return self.post("/v1/bookings", body | more)

    def unlock(self, booking: Any) -> Answer:
        """Press the button."""
        return self.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock")

    def booking(self, booking: Any) -> Any:
        """The booking as it is now."""
        return self.get(f"/v1/bookings/{booking['booking_id']}")

    # --- the database -------------------------------------------------------------------------

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Run a statement of the test's own, with %(name)s for values; its rows."""
        connection = psycopg2.connect(database.direct(self.url))
        try:
            with (
                connection,
                connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
            ):
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def later(self, seconds: float) -> None:
        """Let time pass: every moment that the database remembers is so much longer ago."""
        for table, columns in {
            "cabinets": ("last_seen_at", "reported_at"),
            "bookings": ("created_at", "expires_at", "finished_at"),
            "commands": ("created_at", "deadline", "published_at", "finished_at"),
            "idempotency_keys": ("created_at", "claimed_until"),
            "anomalies": ("at",),
            "boots": ("first_seen_at",),
        }.items():
            changes = ", ".join(f"{c} = {c} - make_interval(secs => %(s)s)" for c in columns)
            self.sql(f"UPDATE {table} SET {changes}", s=seconds)  # noqa: S608 - names are ours

    def anomalies(self) -> list[str]:
        """The reasons of all anomalies, in order."""
        rows = self.sql("SELECT reason FROM anomalies ORDER BY anomaly_id")
        return [row["reason"] for row in rows]

    def place(self, accumulator_id: str) -> Any:
        """Where an accumulator is."""
        return self.get(f"/v1/accumulators/{accumulator_id}")["place"]

    def causes(self, accumulator_id: str) -> list[str]:
        """The causes of an accumulator's movements, oldest first."""
        found = self.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
        return [movement["cause"] for movement in reversed(found)]

    def cell(self, number: int, cabinet_id: str = "C-1") -> Any:
        """One cell as the API shows it."""
        return self.get(f"/v1/cabinets/{cabinet_id}")["cells"][number - 1]

    def check_invariants(self) -> None:
        """No invariant of the domain is broken."""
        assert self.get("/v1/stats")["audit"] == {"ok": True, "violations": []}


def record(device_id: str, message: Message | bytes, *, event_id: str = "") -> Message:
    """One message of the IoT trigger's event."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return {
        "event_metadata": {
            "event_id": event_id or str(uuid4()),
            "event_type": "yandex.cloud.events.iot.IoTMessage",
            "created_at": "2026-11-22T10:00:00.123456789Z",
        },
        "details": {
            "registry_id": "local",
            "device_id": device_id,
            "mqtt_topic": f"$devices/{device_id}/events",
            "payload": base64.b64encode(payload).decode(),
        },
    }


@contextmanager
def running(url: str, patch: pytest.MonkeyPatch, **settings: str) -> Iterator[Service]:
    """The service on this database, with settings by the names of their variables."""
    environment = {"DATABASE_URL": url, "API_KEYS": api_keys(), "UNLOCK_WAIT_SECONDS": "0.3"}
    for name, value in {**environment, **settings}.items():
        patch.setenv(name, value)
    config.settings.cache_clear()
    queue = Queue()
    patch.setattr("shared.mqtt.Publisher", lambda: queue)
    pool = FunctionPool()
    try:
        yield Service(url, queue, pool)
    finally:
        pool.close()
        config.settings.cache_clear()


def api_keys() -> str:
    """The setting API_KEYS with the three keys."""
    digests = {scope: sha256(key.encode()).hexdigest() for scope, key in KEYS.items()}
    return ",".join(f"{scope}:{scope}:{digest}" for scope, digest in digests.items())
