"""The whole cloud, put together: started in order, stopped in the other, owned by one directory."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any, Self
from uuid import uuid4

from bridge.bridge import Bridge
from bridge.settings import Settings as BridgeSettings
from local import CannotStart
from local.api import Api
from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN, Broker
from local.cabinet.control import ControlServer
from local.cabinet.fleet import Fleet
from local.functions import FunctionPool
from local.gateway import Exchange, Gateway
from local.postgres import Postgres
from shared import config, log

API_KEYS = {"operator": "local-operator", "backend": "local-backend", "read": "local-read"}
DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"
EXECUTION_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Options:
    """What `python -m local up` takes."""

    http_port: int = 8080
    mqtt_port: int = 1883
    cabinets: int = 12
    cells: int = 12
    seed: int = 1
    poll_seconds: float = 60
    data_dir: Path = Path(".local")


class Stack:
    """A running local cloud. Raises CannotStart, with nothing left running."""

    def __init__(self, options: Options, say: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self._say = say
        self._parts = ExitStack()
        self.log_file = options.data_dir / "log.jsonl"
        self.gateway: Gateway
        self.broker: Broker
        self.fleet: Fleet
        self.database_url = ""
        self.control_url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def _start(self) -> None:
        self._open_log()
        self._start_database()
        self._start_broker()
        self._set_environment()
        pool = FunctionPool()
        self._parts.callback(pool.close)
        self._migrate(pool)
        self._start_gateway(pool)
        self._start_bridge(pool)
        self._start_cabinets()
        self._start_timer(pool)
        self._write_addresses()

    def _open_log(self) -> None:
        """Functions write their records to standard output, which the platform collects."""
        directory = self.options.data_dir
        try:
            directory.mkdir(parents=True, exist_ok=True)
            file = self._parts.enter_context(self.log_file.open("a", buffering=1))
        except OSError as error:
            raise CannotStart(f"--data-dir {directory}: {error.strerror}") from None
        self._parts.enter_context(redirect_stdout(file))
        log.configure("INFO")

    def _start_database(self) -> None:
        given = os.environ.get("DATABASE_URL")  # noqa: TID251 - decides what is started
        if given:
            self.database_url = given
            return
        postgres = Postgres(self.options.data_dir / "postgres")
        self.database_url = self._parts.enter_context(postgres).url

    def _start_broker(self) -> None:
        broker = Broker(self.options.data_dir / "broker", port=self.options.mqtt_port)
        self.broker = self._parts.enter_context(broker)

    def _set_environment(self) -> None:
        """The functions' environment variables; those that are set already are not touched."""
        keys = [
            f"local-{scope}:{scope}:{hashlib.sha256(key.encode()).hexdigest()}"
            for scope, key in API_KEYS.items()
        ]
        username, password = SERVICE_LOGIN
        ours = {
            "DATABASE_URL": self.database_url,
            "MQTT_HOST": self.broker.host,
            "MQTT_PORT": str(self.broker.port),
            "MQTT_TLS": "false",
            "MQTT_USERNAME": username,
            "MQTT_PASSWORD": password,
        }
        os.environ.update(ours)  # noqa: TID251 - these are the addresses of what was just started
        os.environ.setdefault("API_KEYS", ",".join(keys))  # noqa: TID251
        config.settings.cache_clear()
        config.settings()

    def _migrate(self, pool: FunctionPool) -> None:
        applied = pool.invoke("migrate", {}, timeout=EXECUTION_TIMEOUT_SECONDS)
        log.info("migrated", **applied)

    def _start_gateway(self, pool: FunctionPool) -> None:
        if not DOCUMENT.exists():
            raise CannotStart(f"{DOCUMENT} is missing: make it with `make documents`")
        self.gateway = Gateway(
            json.loads(DOCUMENT.read_text()),
            pool,
            port=self.options.http_port,
            observers=(self._give_login, self._show),
            execution_timeout=EXECUTION_TIMEOUT_SECONDS,
        )
        self.gateway.start()
        self._parts.callback(self.gateway.stop)

    def _start_bridge(self, pool: FunctionPool) -> None:
        username, password = BRIDGE_LOGIN
        settings = BridgeSettings(
            mqtt_host=self.broker.host,
            mqtt_port=self.broker.port,
            mqtt_tls=False,
            mqtt_username=username,
            mqtt_password=password,
            registry_id=config.settings().registry_id,
        )
        bridge = Bridge(
            settings,
            lambda event: pool.invoke("mqtt_trigger", event, timeout=EXECUTION_TIMEOUT_SECONDS),
        )
        bridge.start()
        self._parts.callback(bridge.stop)

    def _start_cabinets(self) -> None:
        options = self.options
        self.fleet = Fleet(
            options.cabinets,
            options.cells,
            seed=options.seed,
            state_file=options.data_dir / "cabinets.json",
            registry_id=config.settings().registry_id,
        )
        api = Api(self.gateway.url, API_KEYS["operator"])
        self._know_devices(api)
        for body in self.fleet.registrations():
            api.expect({201, 409}, "POST", "/v1/cabinets", body)
        for accumulator_id in self.fleet.accumulator_ids():
            body = {"accumulator_id": accumulator_id}
            api.expect({201, 409}, "POST", "/v1/accumulators", body)
        self.fleet.start(self.broker.host, self.broker.port)
        self._parts.callback(self.fleet.stop)
        control = ControlServer(self.fleet)
        control.start()
        self._parts.callback(control.stop)
        self.control_url = control.url

    def _know_devices(self, api: Api) -> None:
        """The logins of devices that an earlier run has registered."""
        cursor = None
        while True:
            page = api.get("/v1/cabinets?limit=200" + (f"&cursor={cursor}" if cursor else ""))
            for cabinet in page["cabinets"]:
                self.broker.add_device(cabinet["device_id"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _start_timer(self, pool: FunctionPool) -> None:
        stopping = Event()

        def tick() -> None:
            while not stopping.wait(self.options.poll_seconds):
                try:
                    pool.invoke("poll_cabinets", timer_event(), timeout=EXECUTION_TIMEOUT_SECONDS)
                except Exception:  # noqa: BLE001 - the trigger goes on whatever the function does
                    log.error("poll_cabinets failed")

        thread = Thread(target=tick, name="timer", daemon=True)
        thread.start()
        self._parts.callback(thread.join, 5)
        self._parts.callback(stopping.set)

    def _give_login(self, exchange: Exchange) -> None:
        """What an operator does with a new cabinet: give its device a login at the broker."""
        if exchange.resource == "/v1/cabinets" and exchange.status == 201:  # noqa: PLR2004
            self.broker.add_device(json.loads(exchange.response_body)["device_id"])

    def _show(self, exchange: Exchange) -> None:
        at = time.strftime("%H:%M:%S")
        took = f"{exchange.duration_ms:7.1f} ms"
        self._say(f"{at} {exchange.status} {took}  {exchange.method} {exchange.path}")

    def _write_addresses(self) -> None:
        addresses = {
            "http_url": self.gateway.url,
            "mqtt_host": self.broker.host,
            "mqtt_port": self.broker.port,
            "database_url": self.database_url,
            "control_url": self.control_url,
            "pid": os.getpid(),
        }
        path = self.options.data_dir / "stack.json"
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(addresses, indent=2) + "\n")
        fresh.replace(path)
        self._parts.callback(path.unlink, missing_ok=True)


def timer_event() -> dict[str, Any]:
    """What the timer trigger hands to its function."""
    return {
        "messages": [
            {
                "event_metadata": {
                    "event_id": uuid4().hex,
                    "event_type": "yandex.cloud.events.serverless.triggers.TimerMessage",
                    "created_at": datetime.now(UTC).isoformat(),
                    "cloud_id": "local",
                    "folder_id": "local",
                },
                "details": {"trigger_id": "local", "payload": ""},
            }
        ]
    }


def addresses_of(data_dir: Path) -> dict[str, Any]:
    """Where a running stack's parts are. Raises CannotStart if none runs on this directory."""
    try:
        found: dict[str, Any] = json.loads((data_dir / "stack.json").read_text())
    except (OSError, ValueError):
        raise CannotStart(
            f"no stack runs on {data_dir}: start one with `python -m local up`"
            f" (or name its --data-dir)"
        ) from None
    return found
