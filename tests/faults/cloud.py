"""A cloud whose parts are separate processes; a part that dies is restarted at once."""

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg2

from local import CannotStart
from local.api import Api
from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN, Broker
from local.cabinet.control import Control
from local.cabinet.fleet import Fleet
from local.children import HOST, free_port, make_directory
from local.functions import FunctionFailed
from local.pgbouncer import PgBouncer, find_pgbouncer
from local.postgres import Postgres
from local.servers import Server
from local.stack import API_KEYS
from local.timer import timer_event
from tests.faults.part import NotInvoked, invoke
from tests.support.brokers import AnyBroker
from tests.support.command_line import environment
from tests.support.database import fast_directory, for_functions, migrate
from tests.support.local_cloud import CheckedApi
from tests.support.processes import ROOT, is_free
from tests.support.waiting import wait_until

CABINETS = 4
CONNECTION = "connection"
"""One of PostgreSQL's backend processes: if it is killed, PostgreSQL ends all connections."""
ACTIVE_BRIDGE = "active bridge"
"""Of two bridges, the one that is active when it is killed."""
UNLOCK_SECONDS = 2
"""How long an unlock waits for a reply; longer waits would hide outages."""
_POLL_SECONDS = 2
_CHECK_SECONDS = 0.02


class Part(Server):
    """A child process that runs `tests.faults.part`."""

    def __init__(
        self,
        name: str,
        directory: Path,
        arguments: tuple[object, ...],
        settings: Mapping[str, str],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(name, directory, stop_signal=signal.SIGKILL)
        log = directory / f"{name}.jsonl"
        part = [sys.executable, "-m", "tests.faults.part", name, str(log), *map(str, arguments)]
        self._command, self._settings, self._ready = part, settings, ready

    def start(self) -> None:
        """Start it and wait until it is ready. Raises CannotStart."""
        settings = environment(self._settings)
        self._child.start(self._command, port=0, ready=self._ready, cwd=ROOT, environment=settings)


class Supervisor:
    """Starts a part, and restarts it whenever it dies, as systemd or the platform does."""

    def __init__(self, server: Server) -> None:
        self.error = ""
        self._server = server
        self._up = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._watch, daemon=True)  # the parts end with this thread

    def start(self) -> None:
        """Start the part and wait until it runs."""
        self._thread.start()
        if not self._up.wait(40):
            raise CannotStart(self.error or "it does not start")

    def stop(self) -> None:
        """Stop the part."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_CHECK_SECONDS):
            if self._server.pid is None:
                try:
                    self._server.start()
                except CannotStart as error:  # it may have been killed while it started
                    self.error = str(error)
                else:
                    self._up.set()
        self._server.stop()


class Cloud:
    """All parts of the service, with their supervisors."""

    def __init__(
        self,
        directory: Path,
        *,
        pooled: bool,
        bridges: int = 1,
        broker: AnyBroker | None = None,
    ) -> None:
        """`broker`: one that runs already, instead of a part of the cloud's own."""
        self.directory = directory
        self._bridges = ("bridge", "bridge-2")[:bridges]
        self._gateway_port, self._functions_port = free_port(), free_port()
        self.url = f"http://{HOST}:{self._gateway_port}"
        self.database = Postgres(directory / "database", port=free_port())
        self.parts: dict[str, Server] = {"database": self.database}
        if broker is None:
            broker = self.parts["broker"] = Broker(directory / "broker", port=free_port())
        self._broker = broker
        pooler = PgBouncer(self.database, directory / "pooler") if pooled else None
        if pooler:
            self.parts["pooler"] = pooler
        self._supervisors: list[Supervisor] = []
        self._pooler = pooler

    def start(self, stack: ExitStack) -> None:
        """Start all parts, in order; `stack` stops them."""
        for name in list(self.parts):
            self._supervise(name, stack)
        fleet = Fleet(CABINETS, 12)
        for device_id in fleet.by_id:
            self._broker.add_device(device_id)
        self._add_functions()
        self._supervise("functions", stack)
        migrate(self.database.url)
        self._supervise("gateway", stack)
        operator = self.api("operator")
        for body in fleet.registrations():
            operator.post("/v1/cabinets", body)
        for accumulator_id in fleet.accumulator_ids():
            operator.post("/v1/accumulators", {"accumulator_id": accumulator_id})
        for name in self._bridges:
            self._supervise(name, stack)
        wait_until(self._active_bridge)
        self._supervise("cabinets", stack)
        wait_until(self._all_online, seconds=20)
        stack.enter_context(self._timer())

    def api(self, scope: str, seconds: float = 30) -> Api:
        """Return an API client with this scope that checks every response."""
        return CheckedApi(self.url, API_KEYS[scope], timeout=seconds)

    @property
    def control(self) -> Control:
        """The control of the cabinets, at its current address."""
        return Control((self.directory / "control").read_text())

    def log(self, part: str) -> str:
        """Return the log of a part."""
        file = self.directory / f"{part}.jsonl"
        return file.read_text() if file.exists() else ""

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, which runs on its own connection."""
        with (
            closing(psycopg2.connect(self.database.url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return cursor.fetchall()

    def kill(self, part: str, rng: random.Random) -> None:
        """Kill a part with SIGKILL, as soon as it runs."""
        if part == CONNECTION:
            wait_until(lambda: self._kill_connection(rng), seconds=20)
            return
        if part == ACTIVE_BRIDGE:
            wait_until(self._active_bridge, seconds=40)
            part = self._active_bridge()
        wait_until(lambda: self.parts[part].pid, seconds=40)
        os.kill(self.parts[part].pid or 0, signal.SIGKILL)

    def _active_bridge(self) -> str:
        """Return the bridge that is active; empty if there is none, or that is not certain."""
        states = ("connected to the broker", "standing by", "connection to the broker ended")
        active = []
        for name in self._bridges:
            lines = [line for line in self.log(name).splitlines() if any(s in line for s in states)]
            if lines and states[0] in lines[-1]:
                active.append(name)
        return active[0] if len(active) == 1 else ""

    def _kill_connection(self, rng: random.Random) -> bool:
        """Kill the backend process of a function's connection; return whether there was one."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'accumulators'"
        try:
            pids = [pid for (pid,) in self.sql(query)]
        except psycopg2.OperationalError:
            return False
        if pids:
            os.kill(rng.choice(pids), signal.SIGKILL)
        return bool(pids)

    def _add_functions(self) -> None:
        directory, gateway, functions = self.directory, self._gateway_port, self._functions_port
        login, bridge_login = self._login(*SERVICE_LOGIN), self._login(*BRIDGE_LOGIN)
        queue = {
            "MQTT_HOST": HOST,
            "MQTT_TLS": "false",
            "MQTT_VERSION": self._broker.mqtt_version,
        }
        settings = {
            "API_KEYS": ",".join(
                f"{scope}:{scope}:{sha256(key.encode()).hexdigest()}"
                for scope, key in API_KEYS.items()
            ),
            "DATABASE_URL": for_functions((self._pooler or self.database).url),
            "UNLOCK_WAIT_SECONDS": str(UNLOCK_SECONDS),
            "POLL_SPREAD_SECONDS": "1",
            "RATE_LIMIT_PER_SECOND": "0",
        }
        several = {
            "BRIDGE_STANDBY": str(len(self._bridges) > 1),
            "BRIDGE_LANES": str(len(self._bridges)),
        }
        cabinets = (self._broker.port, CABINETS, directory)
        is_ready = {port: (lambda port=port: not is_free(port)) for port in (gateway, functions)}
        self.parts |= {
            "functions": Part(
                "functions", directory, (functions,), queue | login | settings, is_ready[functions]
            ),
            "gateway": Part("gateway", directory, (gateway, functions), {}, is_ready[gateway]),
            **{
                name: Part(name, directory, (functions,), queue | bridge_login | several)
                for name in self._bridges
            },
            "cabinets": Part("cabinets", directory, cabinets, {}),
        }

    def _login(self, username: str, password: str) -> dict[str, str]:
        port = str(self._broker.port_of(username))
        return {"MQTT_PORT": port, "MQTT_USERNAME": username, "MQTT_PASSWORD": password}

    def _supervise(self, name: str, stack: ExitStack) -> None:
        supervisor = Supervisor(self.parts[name])
        stack.callback(supervisor.stop)  # before the start, so that an interrupted start is undone
        supervisor.start()

    def _all_online(self) -> bool:
        found = self.api("read").get("/v1/cabinets?online=true")["cabinets"]
        return len(found) == CABINETS

    @contextmanager
    def _timer(self) -> Iterator[None]:
        """Poll the cabinets regularly, even if a poll fails."""
        stopping = Event()

        def poll() -> None:
            while not stopping.wait(_POLL_SECONDS):
                with suppress(NotInvoked, FunctionFailed):
                    invoke(self._functions_port, "poll_cabinets", timer_event())

        thread = Thread(target=poll)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()


@contextmanager
def running(
    *,
    pooled: bool = find_pgbouncer() is not None,
    bridges: int = 1,
    broker: AnyBroker | None = None,
) -> Iterator[Cloud]:
    """A running cloud whose parts a test may kill. Of two `bridges`, one stands by."""
    with fast_directory() as directory, ExitStack() as stack:
        make_directory(directory)
        cloud = Cloud(directory, pooled=pooled, bridges=bridges, broker=broker)
        cloud.start(stack)
        yield cloud
