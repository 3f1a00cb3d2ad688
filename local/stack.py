"""The local cloud: starts its parts in order, and stops them in reverse order.

One directory holds all of its data.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

from bridge import settings as bridge_settings
from bridge.bridge import Bridge
from console.build import InvalidTilesUrl
from local import CannotStart, addresses
from local.api import Api
from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN, Broker
from local.cabinet.control import ControlServer
from local.cabinet.fleet import Fleet
from local.children import HOST, allow_descriptors
from local.console_page import ConsolePage
from local.docs_page import DocsPage
from local.functions import FunctionFailed, FunctionPool
from local.gateway import Exchange, Gateway, Routes
from local.pgbouncer import PgBouncer
from local.postgres import FUNCTIONS_USER, USERS, Postgres, url_for
from local.quota import Quota
from local.servers import Server, Servers
from local.timer import Timer
from shared import config, log

WEBHOOKS_SECRET = "local-master-secret-of-all-webhooks"  # noqa: S105 - of the local cloud only
API_KEYS = {"operator": "local-operator", "backend": "local-backend", "read": "local-read"}
DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"
EXECUTION_TIMEOUT_SECONDS = 60
_SECONDS_TO_REPORT = 15
_SECONDS_PER_CABINET = 0.03
_SECONDS_TO_DELIVER = 1
"""Between two deliveries to webhooks; a minute in the cloud, whose timers cannot do less."""
_DELIVERY_TIMEOUT_SECONDS = 14
"""One second to deliver, so that the local cloud stops quickly, and time for the last attempts."""


@dataclass(frozen=True)
class Options:
    """The options of `python -m local up`."""

    http_port: int = 8080
    mqtt_host: str = HOST
    mqtt_port: int = 1883
    cabinets: int = 12
    cells: int = 12
    seed: int = 1
    poll_seconds: float = 60
    pgbouncer: bool = False
    rate_limits: bool = True
    zone_concurrency: int | None = None
    data_dir: Path = Path(".local")


class Stack:
    """A running local cloud. Raises CannotStart or SettingsInvalid; then nothing keeps running."""

    def __init__(self, options: Options, say: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self._say = say
        self._parts = ExitStack()
        self._ready = False
        self.log_file = options.data_dir / "log.jsonl"
        quota = options.zone_concurrency
        self.pool = FunctionPool(quota=None if quota is None else Quota.deployed(quota))
        self.gateway: Gateway
        self.broker: Broker
        self.bridge: Bridge
        self.fleet: Fleet
        self.servers: dict[str, Server] = {}
        self.database_url = ""
        self.control_url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:  # interrupted, too: some parts run already
            self._parts.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()

    def watch(self) -> None:
        """Restart servers that die, until interrupted; in the thread that started the stack."""
        self._servers.watch()

    def _start(self) -> None:
        settings = config.read(config.Settings, os.environ)  # noqa: TID251 - before anything runs
        bridge_settings.read()
        self._console = _console_page()
        self._open_log(settings.log_level)
        allow_descriptors()
        self._start_database()
        self._start_broker()
        self._start_pooler()
        self._set_environment()
        self._parts.callback(self.pool.close)
        self._migrate()
        self._start_gateway()
        self._start_bridge()
        self._start_cabinets()
        self._start_control()
        self._start_timer()
        self._write_addresses()
        self._ready = True

    def _open_log(self, level: str) -> None:
        """Redirect standard output, where functions write their log records, to the log file."""
        directory = self.options.data_dir
        try:
            directory.mkdir(parents=True, exist_ok=True)
            file = self._parts.enter_context(self.log_file.open("a", buffering=1))
        except OSError as error:
            raise CannotStart(f"--data-dir {directory} cannot be used: {error.strerror}") from None
        self._parts.enter_context(redirect_stdout(file))
        log.configure(level)

    def _start_database(self) -> None:
        given = os.environ.get("DATABASE_URL")  # noqa: TID251 - decides what is started
        if given:
            self.database_url = given
            return
        postgres = Postgres(self.options.data_dir / "postgres")
        self._parts.callback(postgres.stop)
        self.database_url = postgres.start().url
        self.servers["database"] = postgres

    def _start_pooler(self) -> None:
        """Start PgBouncer if `--pgbouncer` was given."""
        self._pooled_url = self.database_url
        postgres = self.servers.get("database")
        if self.options.pgbouncer and isinstance(postgres, Postgres):
            pooler = PgBouncer(postgres, self.options.data_dir / "pooler")
            self._parts.callback(pooler.stop)
            self._pooled_url = pooler.start().url
            self.servers["pooler"] = pooler

    def _start_broker(self) -> None:
        self.broker = Broker(
            self.options.data_dir / "broker",
            listen=self.options.mqtt_host,
            port=self.options.mqtt_port,
        )
        self._parts.callback(self.broker.stop)
        self.servers["broker"] = self.broker.start()

    def _set_environment(self) -> None:
        """Set the functions' environment variables: the started servers, and the local API keys."""
        environment = os.environ  # noqa: TID251 - whoever starts functions makes it
        digests = {scope: hashlib.sha256(key.encode()) for scope, key in API_KEYS.items()}
        keys = [f"local-{scope}:{scope}:{found.hexdigest()}" for scope, found in digests.items()]
        if given := environment.get("API_KEYS"):
            keys.append(given)
        username, password = SERVICE_LOGIN
        environment |= {
            "API_KEYS": ",".join(keys),
            "DATABASE_URL": self._pooled_url,
            "MQTT_HOST": self.broker.host,
            "MQTT_PORT": str(self.broker.port_of(username)),
            "MQTT_TLS": "false",
            "MQTT_VERSION": self.broker.mqtt_version,
            "MQTT_USERNAME": username,
            "MQTT_PASSWORD": password,
            "WEBHOOKS_ALLOW_PRIVATE": "true",
            "WEBHOOKS_SECRET": WEBHOOKS_SECRET,
        }
        if not self.options.rate_limits:
            environment["RATE_LIMIT_PER_SECOND"] = "0"
        config.settings.cache_clear()

    def _migrate(self) -> None:
        """Migrate as the owner; from then on, all functions connect as their own user."""
        environment = os.environ  # noqa: TID251 - as in _set_environment
        is_ours = "database" in self.servers
        environment |= USERS if is_ours else {}
        config.settings.cache_clear()
        # Nobody else uses this directory's database, so a lock was left by a killed run.
        event = {"break_lock": is_ours}
        try:
            applied = self._invoke("migrate", event)
        except FunctionFailed as failure:
            reason = " ".join(str(failure).split())
            raise CannotStart(f"the database cannot be migrated: {reason}") from None
        log.info("migrated", **applied)
        if is_ours:
            environment["DATABASE_URL"] = url_for(FUNCTIONS_USER, self._pooled_url)
            config.settings.cache_clear()

    def _start_gateway(self) -> None:
        if not DOCUMENT.exists():
            raise CannotStart(f"{DOCUMENT} is missing: run make documents")
        routes = Routes(json.loads(DOCUMENT.read_text()))
        self.gateway = Gateway(
            routes,
            self.pool,
            port=self.options.http_port,
            pages=[self._console, DocsPage(routes.document)],
            observers=(self._add_login, self._print_request),
            execution_timeout=EXECUTION_TIMEOUT_SECONDS,
            rate_limits=self.options.rate_limits,
        )
        self._parts.callback(self.gateway.stop)
        self.gateway.start()

    def _start_bridge(self) -> None:
        """Start the bridge before the cabinets: the broker drops messages without a subscriber."""
        username, password = BRIDGE_LOGIN
        login = {"MQTT_USERNAME": username, "MQTT_PASSWORD": password}
        environment = {**os.environ, **login}  # noqa: TID251 - as a deployment gives it
        self.bridge = Bridge(
            bridge_settings.read(environment),
            partial(self._invoke, "mqtt_trigger"),
        )
        self._parts.callback(self.bridge.stop, timeout_seconds=1)
        self.bridge.start()
        self._wait_until(lambda: self.bridge.is_connected, "the bridge has not subscribed")

    def _start_cabinets(self) -> None:
        options = self.options
        self.fleet = Fleet(
            options.cabinets,
            options.cells,
            seed=options.seed,
            state_file=options.data_dir / "cabinets.jsonl",
            registry_id=config.settings().registry_id,
        )
        api = Api(self.gateway.url, API_KEYS["operator"])
        self.broker.add_devices(*self._registered_devices(api), *self.fleet.by_id)
        for body in self.fleet.registrations():
            api.expect({201, 409}, "POST", "/v1/cabinets", body)
        for accumulator_id in self.fleet.accumulator_ids():
            body = {"accumulator_id": accumulator_id}
            api.expect({201, 409}, "POST", "/v1/accumulators", body)
        self._parts.callback(self.fleet.stop)
        # Each cabinet sends hello and a state report.
        expected = self.bridge.counters.delivered + 2 * options.cabinets
        self.fleet.start(self.broker.host, self.broker.port)
        self._wait_until(
            lambda: self.bridge.counters.delivered >= expected, "the cabinets have not reported"
        )

    def _registered_devices(self, api: Api) -> Iterator[str]:
        """Return the devices that an earlier run registered."""
        cursor = None
        while True:
            page = api.get("/v1/cabinets?limit=200" + (f"&cursor={cursor}" if cursor else ""))
            yield from (cabinet["device_id"] for cabinet in page["cabinets"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _start_control(self) -> None:
        self._servers = Servers(self.servers)
        control = ControlServer(self.fleet, self._servers, self.broker)
        self._parts.callback(control.stop)
        control.start()
        self.control_url = control.url

    def _start_timer(self) -> None:
        deliver = partial(self.pool.invoke, "events", timeout=_DELIVERY_TIMEOUT_SECONDS)
        for timer in (
            Timer(self.options.poll_seconds, partial(self._invoke, "poll_cabinets")),
            Timer(_SECONDS_TO_DELIVER, deliver),
        ):
            self._parts.callback(timer.stop)
            timer.start()

    def _add_login(self, exchange: Exchange) -> None:
        """Give the device of a new cabinet its login at the broker, as an operator does."""
        if exchange.resource == "/v1/cabinets" and exchange.status == HTTPStatus.CREATED:
            self.broker.add_device(json.loads(exchange.response_body)["device_id"])

    def _print_request(self, exchange: Exchange) -> None:
        """Print a line per request, except the stack's own requests while it starts."""
        if not self._ready:
            return
        at = time.strftime("%H:%M:%S")
        took = f"{exchange.duration_ms:7.1f} ms"
        self._say(f"{at} {exchange.status} {took}  {exchange.method} {exchange.path}")

    def _write_addresses(self) -> None:
        addresses.write(
            self.options.data_dir,
            {
                "http_url": self.gateway.url,
                "mqtt_host": self.broker.address,
                "mqtt_port": self.broker.port,
                "mqtt_service_port": self.broker.port_of(SERVICE_LOGIN[0]),
                "registry_id": config.settings().registry_id,
                "database_url": self.database_url,
                "control_url": self.control_url,
                "pid": os.getpid(),
            },
        )
        self._parts.callback(addresses.delete, self.options.data_dir)

    def _invoke(self, function: str, event: dict[str, Any]) -> Any:
        return self.pool.invoke(function, event, timeout=EXECUTION_TIMEOUT_SECONDS)

    def _wait_until(self, condition: Callable[[], bool], failure: str) -> None:
        seconds = _SECONDS_TO_REPORT + self.options.cabinets * _SECONDS_PER_CABINET
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise CannotStart(f"{failure} after {seconds:g} s: see {self.log_file}")
            time.sleep(0.005)


def _console_page() -> ConsolePage:
    """Return the console's page with the tiles of CONSOLE_TILES_URL. Raises CannotStart."""
    tiles_url = os.environ.get("CONSOLE_TILES_URL", "")  # noqa: TID251 - not a function's setting
    try:
        return ConsolePage(tiles_url=tiles_url, local_keys=[*API_KEYS.values()])
    except InvalidTilesUrl as error:
        raise CannotStart(f"CONSOLE_TILES_URL: {error}") from None
