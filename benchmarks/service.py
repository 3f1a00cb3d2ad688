"""The deployed functions in this process, called with events of the gateway and the triggers.

Requests pass through the local gateway and the authorizer, but not through HTTP. Only the time
inside a handler counts. A queue that hands commands to simulated cabinets replaces the broker.
"""

import base64
import importlib
import io
import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extensions
from werkzeug.test import Client

from benchmarks import city
from benchmarks.database import Database, settings
from local.cabinet.cells import Cell
from local.cabinet.hardware import Accumulator, Hardware
from local.functions import FunctionPool, Handler
from local.gateway import Gateway, Routes
from local.timer import timer_event
from shared import monitoring, mqtt

Message = dict[str, Any]
# fmt: off
FUNCTIONS = (
    "accumulators", "authorizer", "booking", "cabinets", "events", "mqtt_trigger", "poll_cabinets",
    "swap", "unlock",
)
# fmt: on
_KEY = "key-of-the-benchmark"
_DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"
_NEXT_NUMBER = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
_thread = threading.local()


@dataclass(frozen=True)
class Sent:
    """A message from a function to the database: one round trip."""

    sql: str
    wrote: bool = False
    """Whether it ended a transaction that wrote something."""

    @property
    def statements(self) -> int:
        """Number of SQL statements in it."""
        return self.sql.rstrip("; \n").count(";") + 1


@dataclass(frozen=True)
class Invocation:
    """One call of a function."""

    function: str
    operation: str
    seconds: float
    cpu_seconds: float
    """CPU time of the handler's thread."""
    sent: tuple[Sent, ...]


class Cabinets:
    """The simulated cabinets of a city, created on demand."""

    def __init__(self) -> None:
        self._made: dict[str, Hardware] = {}

    def __getitem__(self, number: int) -> Hardware:
        return self.of_device(f"C-{number}")

    def of_device(self, device_id: str) -> Hardware:
        """The cabinet with this device id, with the content and boot that `city.fill` stored."""
        if device_id not in self._made:
            number = int(device_id.removeprefix("C-"))
            self._made[device_id] = hardware = Hardware(
                device_id,
                [_cell(number, cell) for cell in range(1, city.CELLS + 1)],
                now=lambda: datetime.now(UTC),
                rng=random.Random(number),  # noqa: S311 - a simulation
            )
            hardware.boot_id = city.BOOT
        return self._made[device_id]


class Service:
    """Sends requests and messages to the service, and records the invocations."""

    def __init__(self) -> None:
        self.invocations: list[Invocation] = []
        self.cabinets = Cabinets()
        self.published: list[Message] = []
        self.log = _Log()
        self.events: list[Message] = []
        """The last ten events."""
        handlers = {name: self._measured(name) for name in FUNCTIONS}
        self._pool = FunctionPool(handlers, token={"access_token": "of the benchmark"})
        routes = Routes(json.loads(_DOCUMENT.read_text()))
        self._client = Client(Gateway(routes, self._pool, port=0).app)

    def call(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Send a request with the operator's key; return the body. Raises if the status differs."""
        got = self._client.open(
            path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {_KEY}"},
            content_type="application/json",
        )
        if got.status_code != status:
            raise RuntimeError(f"{method} {path}: {got.status_code}, not {status}: {got.text}")
        return json.loads(got.data) if got.data else None

    def deliver(self, records: list[Message]) -> None:
        """Invoke mqtt_trigger with a batch of records. Raises if any becomes an anomaly."""
        answer = self._pool.invoke("mqtt_trigger", {"messages": records}, timeout=60)
        if answer["anomalies"]:
            raise RuntimeError(f"{answer['anomalies']} of {len(records)} messages were anomalies")

    def say(self, cabinet: Hardware, messages: Iterable[Message]) -> None:
        """Deliver a cabinet's messages as one batch."""
        if records := [record(cabinet.cabinet_id, message) for message in messages]:
            self.deliver(records)

    def poll(self) -> Message:
        """Fire the timer; return the command that was published to all cabinets."""
        self._pool.invoke("poll_cabinets", timer_event(), timeout=60)
        return self.published[-1]

    def publish(self, device_id: str | None, payload: bytes, **_: float) -> None:
        """Replace shared.mqtt.Publisher: a cabinet replies at once, except to polls."""
        self.published.append(json.loads(payload))
        if device_id is not None:
            cabinet = self.cabinets.of_device(device_id)
            self.say(cabinet, [reply.make() for reply in cabinet.handle(self.published[-1])])

    @contextmanager
    def wakeups(self, _command_id: UUID) -> Iterator[Callable[[float], None]]:
        """Replace shared.mqtt.Publisher: cabinets have replied before anybody waits."""
        yield time.sleep

    def close(self) -> None:
        """End the functions."""
        self._pool.close()

    def _measured(self, name: str) -> Handler:
        def handler(event: Message, context: Any) -> Any:
            function = importlib.import_module(f"functions.{name}.main").handler
            sent: list[Sent] = []
            _thread.sent = sent
            self.events = [*self.events[-9:], event]
            began, cpu = time.perf_counter(), time.thread_time()
            answer = function(event, context)
            took = time.perf_counter() - began, time.thread_time() - cpu
            operation = event.get("operationId", "") if name != "authorizer" else ""
            self.invocations.append(Invocation(name, operation or name, *took, tuple(sent)))
            return answer

        return handler


@contextmanager
def running(
    database: Database, more: Mapping[str, str] | None = None, *, asks_at_commit: bool = False
) -> Iterator[Service]:
    """The service on this database, with `more` settings. Its log is formatted and discarded.

    `asks_at_commit`: detect which commits write, with extra round trips that are not counted.
    """
    digest = sha256(_KEY.encode()).hexdigest()
    service = Service()
    with ExitStack() as stack:
        stack.callback(service.close)
        stack.enter_context(redirect_stdout(service.log))
        keys = f"benchmark:operator:{digest}"
        fixed = {
            "DATABASE_URL": database.functions_url,
            "API_KEYS": keys,
            "MONITORING_FOLDER_ID": "none",
            "RATE_LIMIT_PER_SECOND": "0",
            "WEBHOOKS_ALLOW_PRIVATE": "true",
            "WEBHOOKS_SECRET": "a master secret of the benchmarks only",
        }
        stack.enter_context(settings(**fixed, **(more or {})))
        stack.enter_context(_replaced(mqtt, "Publisher", lambda: service))
        stack.enter_context(_replaced(mqtt, "is_reachable", lambda: True))
        stack.enter_context(_replaced(monitoring, "write", lambda _metrics, **_whose: True))
        recorder = _Asking if asks_at_commit else _Recorder
        connect = partial(psycopg2.connect, cursor_factory=recorder)
        stack.enter_context(_replaced(psycopg2, "connect", connect))
        yield service


def record(device_id: str, message: Message | bytes) -> Message:
    """One message of the IoT trigger's event."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return {
        "event_metadata": {
            "event_id": str(uuid4()),
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


class _Log(io.TextIOBase):
    """Where the functions' log goes: only its length is kept."""

    length = 0

    def write(self, text: str) -> int:
        self.length += len(text)
        return len(text)


class _Recorder(psycopg2.extensions.cursor):
    """Records what is sent."""

    def execute(self, query: Any, parameters: Any = None) -> None:
        super().execute(query, parameters)
        self._note(wrote=False)

    def _note(self, *, wrote: bool) -> None:
        if (sent := getattr(_thread, "sent", None)) is not None:
            sent.append(Sent((self.query or b"").decode(), wrote))


class _Asking(_Recorder):
    """Also detects whether a transaction wrote something.

    It did if PostgreSQL assigned it an id, as nobody else writes to this database.
    """

    _before: int | None = None
    """The next transaction id when this transaction began."""

    def execute(self, query: Any, parameters: Any = None) -> None:
        if self._is_idle():
            self._before = self._ask(_NEXT_NUMBER)
        psycopg2.extensions.cursor.execute(self, query, parameters)
        self._note(wrote=self._is_idle() and self._ask(_NEXT_NUMBER) != self._before)

    def _is_idle(self) -> bool:
        idle = psycopg2.extensions.TRANSACTION_STATUS_IDLE
        return self.connection.info.transaction_status == idle

    def _ask(self, question: str) -> Any:
        with self.connection.cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
            cursor.execute(question)
            [answer] = cursor.fetchone() or [None]
            return answer


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _cell(cabinet: int, number: int) -> Cell:
    inside = city.content(cabinet, number)
    return Cell(number, Accumulator(*inside, 96) if inside else None)
