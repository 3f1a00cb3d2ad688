"""The service in one process for integration tests: real handlers, real PostgreSQL, no broker.

Requests go through the local gateway, and every response is checked against the OpenAPI document.
Cabinets are simulated hardware, whose messages are passed to the trigger function.
"""

import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from threading import Condition
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extras
import pytest
from werkzeug.test import Client

from local.cabinet.cells import Cell
from local.cabinet.hardware import Accumulator, Hardware
from local.functions import FunctionPool
from local.gateway import Gateway, Routes
from local.timer import timer_event
from shared import config
from shared.errors import QueueUnavailable
from shared.services.dispatch import Sender
from tests.support import database
from tests.support.openapi_check import check_response
from tests.support.processes import ROOT

Message = dict[str, Any]
KEYS = {"operator": "key-of-operator", "backend": "key-of-backend", "read": "key-of-read"}
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
ROUTES = Routes(DOCUMENT)


@dataclass
class Queue:
    """A message queue that stores what the functions publish."""

    published: list[tuple[str | None, Message]] = field(default_factory=list)
    down: bool = False
    arrive: Callable[[str | None, Message], None] = lambda _device, _command: None
    """Called with every published command."""
    changed: Condition = field(default_factory=Condition)
    announced: Counter[str] = field(default_factory=Counter)
    """How often the callers that wait for a command were woken."""
    waiting: int = 0
    """How many callers wait now."""
    waits: int = 0
    """How often a caller has begun to wait."""
    on_wait: Callable[[float], None] = lambda _seconds: None
    """Called before each of these waits."""

    def publish(self, device_id: str | None, payload: bytes, **_: float) -> None:
        """Replace `shared.mqtt.Publisher.publish`."""
        if self.down:
            raise QueueUnavailable
        command = json.loads(payload)
        self.published.append((device_id, command))
        self.arrive(device_id, command)

    @contextmanager
    def wakeups(self, command_id: UUID) -> Iterator[Callable[[float], bool]]:
        """Replace `shared.mqtt.Publisher.wakeups`."""
        name = str(command_id)
        seen = self.announced[name]

        def wait(seconds: float) -> bool:
            nonlocal seen
            self.on_wait(seconds)
            with self.changed:
                self.waiting, self.waits = self.waiting + 1, self.waits + 1
                woken = self.changed.wait_for(lambda: self.announced[name] > seen, seconds)
                seen = self.announced[name]
                self.waiting -= 1
                return woken

        yield wait

    def announce(self, settled: Iterable[str]) -> None:
        """Wake those who wait for these commands, as the bridge does."""
        with self.changed:
            self.announced.update(settled)
            self.changed.notify_all()

    def commands(self, kind: str) -> list[Message]:
        """Return the published commands of one kind, in order."""
        return [command for _, command in self.published if command["kind"] == kind]


def sender(requested_by: str = "a test") -> Sender:
    """Return a sender whose commands reach no cabinet."""
    return Sender(Queue(), config.settings(), requested_by)


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int
    body: Any
    headers: dict[str, str]


class Service:
    """The service, its cabinets and its database, for one test."""

    def __init__(self, url: str, queue: Queue, pool: FunctionPool) -> None:
        self.queue = queue
        self.pool = pool
        self.url = url
        self.cabinets: dict[str, Hardware] = {}
        self.held_messages: list[tuple[str, Message]] = []
        """Messages of cabinets that were sent while `hold_messages` and not delivered yet."""
        self.hold_messages = False
        self.lose_commands = False
        self._client = Client(Gateway(ROUTES, pool, port=0).app)
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
    ) -> Response:
        """Send a request with the API key of a scope, or without a key; check the response."""
        sent = {"Authorization": f"Bearer {KEYS.get(key, key)}"} if key else {}
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        got = self._client.open(path, method=method, data=data, headers=sent | (headers or {}))
        check_response(method, path, got.status_code, dict(got.headers), got.data)
        parsed = json.loads(got.data) if got.data else None
        return Response(got.status_code, parsed, dict(got.headers))

    def get(self, path: str) -> Any:
        """Return the body of a 200."""
        return self._succeed("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """POST with the operator's key; return the body of a 200 or 201."""
        return self._succeed("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """PATCH with the operator's key; return the body of a 200."""
        return self._succeed("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """DELETE with the operator's key; return the body of a 200, or None for a 204."""
        return self._succeed("DELETE", path)

    def _succeed(self, method: str, path: str, body: Any = None) -> Any:
        response = self.call(method, path, body, key="operator")
        assert response.status in {200, 201, 204}, response
        return response.body

    # --- cabinets -----------------------------------------------------------------------------

    def add_cabinet(
        self, cabinet_id: str = "C-1", *, charges: Iterable[int | None] = (), cells: int = 6
    ) -> Hardware:
        """Register a cabinet that has reported; cell n holds an accumulator with the nth charge.

        The accumulators are named C-1.A-1, C-1.A-2, …, and are registered.
        """
        hardware = self.connect(cabinet_id, cells)
        for number, charge in enumerate(charges, start=1):
            accumulator_id = f"{cabinet_id}.A-{number}"
            self.post("/v1/accumulators", {"accumulator_id": accumulator_id})
            hardware.cells[number].accumulator = Accumulator(accumulator_id, charge)
        self.report(cabinet_id)
        return hardware

    def connect(self, cabinet_id: str, cells: int = 6) -> Hardware:
        """Register an empty cabinet that has not sent anything yet."""
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
        """Send a cabinet's state report."""
        self.send_from(cabinet_id, self.cabinets[cabinet_id].state_report(command_id))

    def act(self, cabinet_id: str, action: Callable[[Hardware], object]) -> None:
        """Change a cabinet by hand; it sends what its sensors notice."""
        hardware = self.cabinets[cabinet_id]
        action(hardware)
        self.send_from(cabinet_id, *hardware.poll_sensors())

    def take(self, cell_number: int, cabinet_id: str = "C-1") -> Accumulator:
        """Take an accumulator out of an open cell and close the door."""
        hardware = self.cabinets[cabinet_id]
        accumulator = hardware.remove(cell_number)
        hardware.close_door(cell_number)
        self.send_from(cabinet_id, *hardware.poll_sensors())
        return accumulator

    def put(self, cell_number: int, accumulator: Accumulator, cabinet_id: str = "C-1") -> None:
        """Put an accumulator into an open cell and close the door."""
        hardware = self.cabinets[cabinet_id]
        hardware.insert(cell_number, accumulator)
        hardware.close_door(cell_number)
        self.send_from(cabinet_id, *hardware.poll_sensors())

    def send_from(self, cabinet_id: str, *messages: Message | bytes) -> None:
        """Send messages of a cabinet; they are delivered at once, unless `hold_messages`."""
        if self.hold_messages:
            self.held_messages += [(cabinet_id, m) for m in messages if isinstance(m, dict)]
        else:
            self.deliver(*[(cabinet_id, message) for message in messages])

    def deliver(
        self,
        *messages: tuple[str, Message | bytes],
        event_id: str = "",
        received_at: datetime | None = None,
    ) -> Any:
        """Pass messages to the trigger function in one batch, as the bridge does."""
        if messages:
            records = [record(*m, event_id=event_id, received_at=received_at) for m in messages]
            response = self.pool.invoke("mqtt_trigger", {"messages": records}, timeout=30)
            self.queue.announce(response["settled"])
            return response
        return None

    def deliver_held_messages(self) -> None:
        """Deliver the messages that were held."""
        held, self.held_messages = self.held_messages, []
        self.deliver(*held)

    def poll(self) -> Any:
        """Run the function that the timer calls."""
        return self.pool.invoke("poll_cabinets", timer_event(), timeout=30)

    def _arrive(self, device_id: str | None, command: Message) -> None:
        for cabinet_id, hardware in self.cabinets.items():
            if self.lose_commands or device_id not in {None, cabinet_id}:
                continue
            for reply in hardware.handle(command, broadcast=device_id is None):
                self.send_from(cabinet_id, reply.make())
            self.send_from(cabinet_id, *hardware.poll_sensors())

    # --- bookings -----------------------------------------------------------------------------

    def request_booking(self, count: int = 1, kind: str = "issue", **more: Any) -> Response:
        """Request a booking at C-1 for T-1, unless `more` overrides these; return the response."""
        body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": kind, "count": count}
        return self.call("POST", "/v1/bookings", body | more)

    def book(self, count: int = 1, kind: str = "issue", **more: Any) -> Any:
        """Make a booking as `request_booking` does; return its body."""
        response = self.request_booking(count, kind, **more)
        assert response.status == 201, response
        return response.body

    def unlock(self, booking: Any, *, prefer: str | None = None) -> Response:
        """Request the unlock of a booking."""
        headers = {"Prefer": prefer} if prefer else {}
        return self.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock", headers=headers)

    def booking(self, booking: Any) -> Any:
        """Return the current booking."""
        return self.get(f"/v1/bookings/{booking['booking_id']}")

    # --- the database -------------------------------------------------------------------------

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Run a statement with %(name)s for values; return its rows."""
        connection = psycopg2.connect(database.without_pooler(self.url))
        try:
            with (
                connection,
                connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
            ):
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def advance_time(self, seconds: float) -> None:
        """Move every time in the database into the past."""
        for table, columns in {
            "cabinets": ("last_seen_at", "reported_at", "alarms_since"),
            "cells": ("reported_at", "health_since"),
            "accumulators": ("status_since",),
            "bookings": ("created_at", "expires_at", "finished_at"),
            "commands": ("created_at", "deadline", "published_at", "finished_at"),
            "idempotency_keys": ("created_at", "claimed_until"),
            "anomalies": ("at", "first_at"),
            "boots": ("first_seen_at",),
            "event_outbox": ("at",),
            "events": ("at",),
            "webhooks": (
                "last_attempt_at",
                "failing_since",
                "next_attempt_at",
                "rotated_at",
                "leased_until",
            ),
        }.items():
            changes = ", ".join(f"{c} = {c} - make_interval(secs => %(s)s)" for c in columns)
            self.sql(f"UPDATE {table} SET {changes}", s=seconds)  # noqa: S608 - names are ours

    def anomalies(self) -> list[str]:
        """Return the reasons of all anomalies, in order."""
        rows = self.sql("SELECT reason FROM anomalies ORDER BY anomaly_id")
        return [row["reason"] for row in rows]

    def place(self, accumulator_id: str) -> Any:
        """Return the place of an accumulator."""
        return self.get(f"/v1/accumulators/{accumulator_id}")["place"]

    def movement_causes(self, accumulator_id: str) -> list[str]:
        """Return the causes of an accumulator's movements, oldest first."""
        found = self.get(f"/v1/accumulators/{accumulator_id}/movements")["movements"]
        return [movement["cause"] for movement in reversed(found)]

    def cell(self, number: int, cabinet_id: str = "C-1") -> Any:
        """Return a cell as the API shows it."""
        return self.get(f"/v1/cabinets/{cabinet_id}")["cells"][number - 1]

    def check_invariants(self) -> None:
        """Check that the audit finds no violation."""
        assert self.get("/v1/stats")["audit"] == {"ok": True, "violations": []}


def record(
    device_id: str,
    message: Message | bytes,
    *,
    event_id: str = "",
    received_at: datetime | None = None,
) -> Message:
    """Return a message in the form of the IoT trigger's event; received now by default."""
    time = (received_at or datetime.now(UTC)).astimezone(UTC)
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return {
        "event_metadata": {
            "event_id": event_id or str(uuid4()),
            "event_type": "yandex.cloud.events.iot.IoTMessage",
            "created_at": f"{time:%Y-%m-%dT%H:%M:%S.%f}789Z",  # as IoT Core: in nanoseconds
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
    """The service on this database; `settings` are environment variables.

    The functions connect as their own user, the test's own statements as the owner.
    """
    environment = {
        "DATABASE_URL": database.for_functions(url),
        "API_KEYS": api_keys(),
        "UNLOCK_WAIT_SECONDS": "0.5",
        "WEBHOOKS_SECRET": "a master secret of the tests, long enough",
    }
    for name, value in {**environment, **settings}.items():
        patch.setenv(name, value)
    config.settings.cache_clear()
    queue = Queue()
    patch.setattr("shared.mqtt.Publisher", lambda: queue)
    pool = FunctionPool(share_instances=True)
    try:
        yield Service(url, queue, pool)
    finally:
        pool.close()
        config.settings.cache_clear()


def change_settings(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    """Change settings; they apply from the next request on."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config.settings.cache_clear()


def api_keys() -> str:
    """Return the setting API_KEYS with the keys of KEYS."""
    digests = {scope: sha256(key.encode()).hexdigest() for scope, key in KEYS.items()}
    return ",".join(f"{scope}:{scope}:{digest}" for scope, digest in digests.items())
