"""The control interface of a running stack: HTTP on this machine, not part of the service.

GET /cabinets, GET /cabinets/{id} (the physical state), POST /cabinets/{id}/{action} with the
action's arguments as a JSON object; GET /servers, POST /servers/{name}/{stop or start}; GET and
POST /logins: the hashes of devices' own passwords at the broker. `Control` is its client.
"""

import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import ValidationError

from local.broker import DEVICE_PASSWORD, Broker
from local.cabinet.actions import ACTIONS
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from local.cabinet.hardware import ActionImpossible
from local.servers import Servers


class ControlError(RuntimeError):
    """A request to the control interface failed; the message is one line that says why."""


class ControlServer:
    """Serves the control interface on a free port of 127.0.0.1."""

    def __init__(
        self, fleet: Fleet, servers: Servers | None = None, broker: Broker | None = None
    ) -> None:
        self._server = _Server(fleet, servers or Servers({}), broker)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The URL for `Control`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the running requests, and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class Control:
    """A client of the control interface. Its methods raise ControlError."""

    def __init__(self, url: str) -> None:
        self._url = url

    def cabinets(self) -> list[dict[str, Any]]:
        """Return a summary of each cabinet."""
        cabinets: list[dict[str, Any]] = self._request("GET", "/cabinets")["cabinets"]
        return cabinets

    def cabinet(self, cabinet_id: str) -> dict[str, Any]:
        """Return the physical state of a cabinet, and the contents of all bags."""
        return self._request("GET", f"/cabinets/{_quote(cabinet_id)}")

    def act(self, cabinet_id: str, action: str, **arguments: Any) -> str:
        """Perform one of ACTIONS; return a sentence on its effect."""
        path = f"/cabinets/{_quote(cabinet_id)}/{_quote(action)}"
        return str(self._request("POST", path, json.dumps(arguments))["message"])

    def servers(self) -> dict[str, int | None]:
        """Return the process id of each server by name; None if it is down."""
        servers: dict[str, int | None] = self._request("GET", "/servers")["servers"]
        return servers

    def stop_server(self, name: str) -> str:
        """Stop a server until `start_server`."""
        return str(self._request("POST", f"/servers/{_quote(name)}/stop")["message"])

    def start_server(self, name: str) -> str:
        """Start a server; return when it is ready."""
        return str(self._request("POST", f"/servers/{_quote(name)}/start")["message"])

    def passwords(self) -> dict[str, str]:
        """Return the hashes of devices' own passwords; "" for a device that may not log in."""
        passwords: dict[str, str] = self._request("GET", "/logins")["logins"]
        return passwords

    def change_passwords(self, hashes: Mapping[str, str]) -> None:
        """Give devices passwords of their own, or with "" refuse them."""
        self._request("POST", "/logins", json.dumps(hashes))

    def _request(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        address = urlsplit(self._url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=20)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise ControlError(
                f"no running stack answers at {self._url} ({error}): start one with"
                " `python -m local up`"
            ) from error
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise ControlError(answer["error"])
        return answer


def _quote(text: str) -> str:
    return quote(text, safe="")


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them
    request_queue_size = 64

    def __init__(self, fleet: Fleet, servers: Servers, broker: Broker | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fleet = fleet
        self.servers = servers
        self.broker = broker


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5  # seconds without data, after which a connection is closed

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as inherited
        """Log nothing: the terminal is for the stack's own lines."""

    def _serve(self, method: str) -> None:
        try:
            status, answer = HTTPStatus.OK, self._perform(method)
        except LookupError as error:
            status, answer = HTTPStatus.NOT_FOUND, {"error": str(error.args[0])}
        except ActionImpossible as error:
            status, answer = HTTPStatus.CONFLICT, {"error": str(error)}
        except ValidationError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": _describe(error)}
        except ValueError as error:
            status, answer = HTTPStatus.BAD_REQUEST, {"error": str(error)}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _perform(self, method: str) -> dict[str, Any]:
        fleet = self.server.fleet
        arguments = self._arguments() if method == "POST" else {}
        path = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        match method, path:
            case "GET", ["cabinets"]:
                return {"cabinets": [_summary(device) for device in fleet.by_id.values()]}
            case "GET", ["cabinets", cabinet_id]:
                return _physical_state(fleet, self._device(cabinet_id))
            case "POST", ["cabinets", cabinet_id, action] if action in ACTIONS:
                self._device(cabinet_id)  # raises if there is none
                return {"message": ACTIONS[action](fleet, cabinet_id, **arguments)}
            case "GET", ["servers"]:
                return {"servers": self.server.servers.pids()}
            case "POST", ["servers", name, "stop" | "start" as verb]:
                return {"message": self._switch(name, verb)}
            case _, ["logins"] if broker := self.server.broker:
                if method == "POST":
                    self._change_passwords(broker, arguments)
                return {"logins": {**broker.own_passwords()}}
            case _:
                actions = ", ".join(ACTIONS)
                raise LookupError(f"there is no {method} {self.path}; the actions are {actions}")

    def _switch(self, name: str, verb: str) -> str:
        servers = self.server.servers
        if name not in servers.pids():
            known = ", ".join(servers.pids()) or "none"
            raise LookupError(f"there is no server {name} to {verb}; there are: {known}")
        if verb == "stop":
            servers.stop(name)
            return f"{name} is down until you start it"
        if not servers.start(name):
            raise ActionImpossible(f"{name} does not start: see the stack's log")
        return f"{name} is up"

    def _change_passwords(self, broker: Broker, hashes: dict[str, str]) -> None:
        if simulated := sorted({*hashes} & {*self.server.fleet.by_id}):
            raise ActionImpossible(
                f"{simulated[0]} is a simulated cabinet, which has only the password"
                f" {DEVICE_PASSWORD}: choose other devices, or start the cloud with --cabinets 0"
            )
        broker.change_passwords(hashes)

    def _arguments(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        try:
            arguments = json.loads(body or "{}")
        except ValueError as error:
            raise ValueError(f"the body is not JSON: {error}") from None
        if not isinstance(arguments, dict):
            kind = type(arguments).__name__
            raise ValueError(f"the body is not a JSON object but {kind}")  # noqa: TRY004 - a 400
        return arguments

    def _device(self, cabinet_id: str) -> Device:
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


def _physical_state(fleet: Fleet, device: Device) -> dict[str, Any]:
    with fleet.runtime.lock:
        return {
            **device.hardware.to_json(),
            "boot_id": device.hardware.boot_id,
            "online": device.online,
            "answer": device.reply_mode,
            "delay_s": device.reply_delay_s,
            "bags": {name: [one.accumulator_id for one in bag] for name, bag in fleet.bags.items()},
        }


def _describe(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
        for one in error.errors(include_url=False)
    )
