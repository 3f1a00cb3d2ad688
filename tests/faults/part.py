"""Run one part of the cloud as a process that can be killed: python -m tests.faults.part NAME …

The parts are the project's own. This module only connects them: functions are called over HTTP.
"""

import json
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from functools import partial
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any

from bridge import settings as bridge_settings
from bridge.bridge import Bridge
from local.cabinet.control import ControlServer
from local.cabinet.fleet import Fleet
from local.cabinet.hardware import Firmware
from local.children import HOST
from local.functions import FunctionFailed, FunctionPool, FunctionTimedOut
from local.gateway import Gateway, Routes
from shared import log

FUNCTIONS = (
    *("accumulators", "authorizer", "booking", "cabinets", "events", "migrate"),
    *("mqtt_trigger", "poll_cabinets", "swap", "unlock"),
)
TIMEOUT_SECONDS = 60
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
_EXECUTES_TWICE = Firmware(executes_once=False)
"""A command that arrives twice opens the door twice, so that it is noticed."""

_KEEPALIVE_SECONDS = 10
"""Of cabinets, as docs/broker-cluster.md recommends."""


class NotInvoked(Exception):
    """The functions cannot be reached, or died before they returned."""


class _Invocation(BaseHTTPRequestHandler):
    pool: FunctionPool

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, result = 200, self.pool.invoke(self.path[1:], event, timeout=TIMEOUT_SECONDS)
        except FunctionFailed as failure:
            status, result = 500, failure.report()
        except FunctionTimedOut as failure:
            status, result = 504, {"errorMessage": str(failure)}
        body = json.dumps(result).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
        """Log nothing: the functions have a log."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def invoke(port: int, name: str, event: Any, _context: Any = None) -> Any:
    """Return what a function returns. Raises NotInvoked, FunctionFailed."""
    try:
        with closing(HTTPConnection(HOST, port, timeout=TIMEOUT_SECONDS)) as connection:
            connection.request("POST", f"/{name}", json.dumps(event))
            response = connection.getresponse()
            result = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise NotInvoked(f"{name}: {error!r}") from error
    if response.status != 200:
        raise FunctionFailed(result.get("errorType", "TimedOut"), result["errorMessage"], [])
    return result


def serve_functions(port: int) -> None:
    """Serve all functions; an instance is a thread, as in the local cloud."""
    _Invocation.pool = FunctionPool()
    with _Server((HOST, port), _Invocation) as server:
        server.serve_forever()


def serve_gateway(port: int, functions: int) -> None:
    """Serve the API with the local cloud's gateway."""
    pool = FunctionPool({name: partial(invoke, functions, name) for name in FUNCTIONS})
    routes = Routes(json.loads(DOCUMENT.read_text()))
    Gateway(routes, pool, port=port, execution_timeout=TIMEOUT_SECONDS).start()
    Event().wait()


def run_bridge(functions: int) -> None:
    """Run the bridge."""
    Bridge(bridge_settings.read(), partial(invoke, functions, "mqtt_trigger")).start()
    Event().wait()


def run_cabinets(mqtt_port: int, count: int, directory: Path) -> None:
    """Run the cabinets; their control works even if the broker is down."""
    fleet = Fleet(count, 12, state_file=directory / "cabinets.json")
    for device in fleet.by_id.values():
        device.hardware.firmware = _EXECUTES_TWICE
        device.keepalive_s = _KEEPALIVE_SECONDS
    control = ControlServer(fleet)
    control.start()
    new = directory / "control.new"
    new.write_text(control.url)
    new.replace(directory / "control")
    fleet.start(HOST, mqtt_port, seconds=3600)
    Event().wait()


PARTS: dict[str, Callable[..., None]] = {
    "functions": serve_functions,
    "gateway": serve_gateway,
    "bridge": run_bridge,
    "bridge-2": run_bridge,
    "cabinets": run_cabinets,
}


def main(name: str, log_file: str, *arguments: str) -> None:
    """Run a part until it is killed."""
    with Path(log_file).open("a", buffering=1) as file, redirect_stdout(file):
        log.configure("INFO")
        PARTS[name](*(int(one) if one.isdigit() else Path(one) for one in arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
