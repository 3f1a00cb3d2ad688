"""The control interface of a running stack, not of the service: HTTP on this machine only.

GET /cabinets, GET /cabinets/{id} (the physical truth), POST /cabinets/{id}/{action} with the
action's arguments as a JSON object; GET /servers, POST /servers/{name}/{stop or start}. `Control`
speaks it from Python.
"""

import json
import threading
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import ValidationError

from local.cabinet.actions import ACTIONS
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from local.cabinet.hardware import Impossible
from local.servers import Servers


class Refused(RuntimeError):
    """The control interface did not do what it was asked; the message is one line that says why."""


class ControlServer:
    """Serves the control interface on a free port of 127.0.0.1."""

    def __init__(self, fleet: Fleet, servers: Servers | None = None) -> None:
        self._server = _Server(fleet, servers or Servers({}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where `Control` finds it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being answered and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class Control:
    """The cabinets and servers of a running stack, from Python. Raises `Refused`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def cabinets(self) -> list[dict[str, Any]]:
        """Return one line for each cabinet."""
        cabinets: list[dict[str, Any]] = self._request("GET", "/cabinets")["cabinets"]
        return cabinets

    def cabinet(self, cabinet_id: str) -> dict[str, Any]:
        """Return the physical truth of one cabinet, and who carries what."""
        return self._request("GET", f"/cabinets/{_part(cabinet_id)}")

    def act(self, cabinet_id: str, action: str, **arguments: Any) -> str:
        """Do one of the ACTIONS; return the sentence that says what was done."""
        path = f"/cabinets/{_part(cabinet_id)}/{_part(action)}"
        return str(self._request("POST", path, json.dumps(arguments))["message"])

    def servers(self) -> dict[str, int | None]:
        """Return the process of each server by name; None for one that is down."""
        servers: dict[str, int | None] = self._request("GET", "/servers")["servers"]
        return servers

    def stop_server(self, name: str) -> str:
        """Put a server down; it stays so until start_server."""
        return str(self._request("POST", f"/servers/{_part(name)}/stop")["message"])

    def start_server(self, name: str) -> str:
        """Let a server run again; return when it answers."""
        return str(self._request("POST", f"/servers/{_part(name)}/start")["message"])

    def _request(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        address = urlsplit(self._url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=20)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise Refused(
                f"no running stack answers at {self._url} ({error}): start one with"
                " `python -m local up`"
            ) from error
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise Refused(answer["error"])
        return answer


def _part(text: str) -> str:
    return quote(text, safe="")


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them
    request_queue_size = 64

    def __init__(self, fleet: Fleet, servers: Servers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fleet = fleet
        self.servers = servers


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5  # seconds of silence before a connection is given up

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
        """Keep the screen for the stack's own lines."""

    def _serve(self, method: str) -> None:
        try:
            status, answer = HTTPStatus.OK, self._answer(method)
        except LookupError as error:
            status, answer = HTTPStatus.NOT_FOUND, {"error": str(error.args[0])}
        except Impossible as error:
            status, answer = HTTPStatus.CONFLICT, {"error": str(error)}
        except ValidationError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": _in_one_line(error)}
        except ValueError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": f"the body is no object: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, method: str) -> dict[str, Any]:
        fleet = self.server.fleet
        arguments = self._arguments() if method == "POST" else {}
        path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        match method, path:
            case "GET", ["cabinets"]:
                return {"cabinets": [_summary(device) for device in fleet.by_id.values()]}
            case "GET", ["cabinets", cabinet_id]:
                return _truth(fleet, self._known(cabinet_id))
            case "POST", ["cabinets", cabinet_id, action] if action in ACTIONS:
                self._known(cabinet_id)
                return {"message": ACTIONS[action](fleet, cabinet_id, **arguments)}
            case "GET", ["servers"]:
                return {"servers": self.server.servers.pids()}
            case "POST", ["servers", name, "stop" | "start" as verb]:
                return {"message": self._switch(name, verb)}
            case _:
                actions = ", ".join(ACTIONS)
                raise LookupError(f"no {method} {self.path} here; the actions are {actions}")

    def _switch(self, name: str, verb: str) -> str:
        servers = self.server.servers
        if name not in servers.pids():
            known = ", ".join(servers.pids()) or "none"
            raise LookupError(f"there is no server {name} to {verb}; there are: {known}")
        if verb == "stop":
            servers.stop(name)
            return f"{name} is down until it is started"
        if not servers.start(name):
            raise Impossible(f"{name} does not start: the stack's log says why")
        return f"{name} is up"

    def _arguments(self) -> dict[str, Any]:
        arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or "{}")
        if not isinstance(arguments, dict):
            raise ValueError(f"it is {type(arguments).__name__}")  # noqa: TRY004 - as bad JSON
        return arguments

    def _known(self, cabinet_id: str) -> Device:
        device = self.server.fleet.by_id.get(cabinet_id)
        if device is None:
            raise LookupError(
                f"there is no cabinet {cabinet_id}; there are {', '.join(self.server.fleet.by_id)}"
            )
        return device


def _summary(device: Device) -> dict[str, Any]:
    cells = device.hardware.cells.values()
    return {
        "cabinet_id": device.device_id,
        "online": device.online,
        "cells": len(cells),
        "accumulators": sum(cell.accumulator is not None for cell in cells),
        "open_doors": [cell.cell_number for cell in cells if cell.door == "open"],
    }


def _truth(fleet: Fleet, device: Device) -> dict[str, Any]:
    with fleet.world.lock:
        return {
            **device.hardware.to_json(),
            "boot_id": device.hardware.boot_id,
            "online": device.online,
            "answer": device.answer,
            "delay_s": device.delay_s,
            "bags": {name: [one.accumulator_id for one in bag] for name, bag in fleet.bags.items()},
        }


def _in_one_line(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
        for one in error.errors(include_url=False)
    )
