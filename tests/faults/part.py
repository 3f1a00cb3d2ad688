"""One part of the cloud as a process of its own, to be killed: python -m tests.faults.part NAME …

What the parts say and do is the project's own; only the wires between them are this module's:
functions are called over HTTP, as the platform's gateway, bridge and timer call them.
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
from local.gateway import Gateway
from shared import log

NAMES = (
    *("accumulators", "authorizer", "booking", "cabinets", "migrate"),
    *("mqtt_trigger", "poll_cabinets", "swap", "unlock"),
)
SECONDS = 60
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
_OPENS_AS_OFTEN_AS_TOLD = Firmware(executes_once=False)
"""Nothing at the cabinet hides a command that comes twice."""


class NotInvoked(Exception):
    """The functions cannot be reached, or died before they answered."""


class _Invocation(BaseHTTPRequestHandler):
    pool: FunctionPool

    def do_POST(self) -> None:
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            status, answer = 200, self.pool.invoke(self.path[1:], event, timeout=SECONDS)
        except FunctionFailed as failure:
            status, answer = 500, failure.report()
        except FunctionTimedOut as failure:
            status, answer = 504, {"errorMessage": str(failure)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
        """The functions' own log is enough."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def invoke(port: int, name: str, event: Any, _context: Any = None) -> Any:
    """Return what a function returns. Raises NotInvoked, FunctionFailed."""
    try:
        with closing(HTTPConnection(HOST, port, timeout=SECONDS)) as connection:
            connection.request("POST", f"/{name}", json.dumps(event))
            response = connection.getresponse()
            answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise NotInvoked(f"{name}: {error!r}") from error
    if response.status != 200:
        raise FunctionFailed(answer.get("errorType", "TimedOut"), answer["errorMessage"], [])
    return answer


def serve_functions(port: int) -> None:
    """All functions; an instance is a thread, as in the local cloud."""
    _Invocation.pool = FunctionPool()
    with _Server((HOST, port), _Invocation) as server:
        server.serve_forever()


def serve_gateway(port: int, functions: int) -> None:
    """The gateway; it knows nothing but the document and where the functions are."""
    pool = FunctionPool({name: partial(invoke, functions, name) for name in NAMES})
    Gateway(json.loads(DOCUMENT.read_text()), pool, port=port, execution_timeout=SECONDS).start()
    Event().wait()


def run_bridge(functions: int) -> None:
    """The bridge."""
    Bridge(bridge_settings.read(), partial(invoke, functions, "mqtt_trigger")).start()
    Event().wait()


def power_cabinets(mqtt_port: int, count: int, directory: Path) -> None:
    """The cabinets; people reach them while the broker does not."""
    fleet = Fleet(count, 12, state_file=directory / "cabinets.json")
    for device in fleet.by_id.values():
        device.hardware.firmware = _OPENS_AS_OFTEN_AS_TOLD
    control = ControlServer(fleet)
    control.start()
    told = directory / "control.new"
    told.write_text(control.url)
    told.replace(directory / "control")
    fleet.start(HOST, mqtt_port, seconds=3600)
    Event().wait()


PARTS: dict[str, Callable[..., None]] = {
    "functions": serve_functions,
    "gateway": serve_gateway,
    "bridge": run_bridge,
    "cabinets": power_cabinets,
}


def main(name: str, log_file: str, *arguments: str) -> None:
    """Be that part, for ever."""
    with Path(log_file).open("a", buffering=1) as file, redirect_stdout(file):
        log.configure("INFO")
        PARTS[name](*(int(one) if one.isdigit() else Path(one) for one in arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
