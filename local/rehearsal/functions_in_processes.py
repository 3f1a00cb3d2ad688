"""The deployed functions: an instance is a process with the function's package and environment."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from local.children import ending_with_parent
from local.functions import Context, FunctionPool, FunctionTimedOut
from local.rehearsal import function_instance, requirements
from local.rehearsal.topology import Function

_SECONDS_TO_LOAD = 20
_NEEDED = {
    "shared.db": ("DATABASE_URL", "PGPASSWORD"),
    "shared.mqtt": ("MQTT_HOST", "MQTT_PORT", "MQTT_USERNAME", "MQTT_PASSWORD", "REGISTRY_ID"),
}
"""Settings without a usable default, by the module that needs them."""
_NEEDED_BY_FUNCTION = {
    "authorizer": ("API_KEYS",),
    "cabinets": _NEEDED["shared.mqtt"],
    "events": ("WEBHOOKS_SECRET",),
    "migrate": ("DATABASE_URL", "PGPASSWORD"),
    "poll_cabinets": ("MONITORING_FOLDER_ID",),
}
_READ_BY_OTHERS = {"PGPASSWORD", "PACKAGE"}
"""By libpq, and by Terraform, which finds there whether the version has the package."""


@dataclass(frozen=True)
class Deployed:
    """A function, its unpacked package, and its environment on this machine."""

    function: Function
    code: Path
    site: Path
    log: Path
    environment: dict[str, str]


class FunctionProcesses:
    """The instances of all functions; `pool` invokes them by name."""

    def __init__(
        self,
        functions: Iterable[Function],
        directory: Path,
        *,
        environment: Callable[[Function], dict[str, str]],
        token: Callable[[str], str],
    ) -> None:
        """Start an instance of each; `token`: called for a service account's IAM token."""
        self._token = token
        self._failures: list[str] = []
        self._lock = threading.Lock()
        self._instances: list[_Instance] = []
        self._idle: dict[str, list[_Instance]] = {}
        self._deployed = {
            one.name: _unpack(one, directory / one.name, environment(one)) for one in functions
        }
        for name, deployed in self._deployed.items():
            self._idle[name] = [self._start(deployed)]
        self.pool = FunctionPool({name: self._handler(name) for name in self._deployed})

    def faults(self) -> list[str]:
        """Return what is wrong with entry points and variables, a line each."""
        return [
            f"{deployed.function.address}: {fault}"
            for name, deployed in self._deployed.items()
            for fault in _faults(deployed, self._idle[name][0].loaded())
        ]

    def errors(self) -> list[str]:
        """Return the failures and logged errors of the functions, a line each."""
        logged = [
            f"{name}: {record['message']}: {record.get('error', record.get('kind', ''))}"
            for name, deployed in self._deployed.items()
            for record in _records(deployed.log)
            if record.get("level") == "ERROR"
        ]
        return [*self._failures, *logged]

    def close(self) -> None:
        """End all instances."""
        self.pool.close()
        for instance in self._instances:
            instance.end()

    def _handler(self, name: str) -> Callable[[Any, Context], Any]:
        def handle(event: Any, context: Context) -> Any:
            deployed = self._deployed[name]
            account, seconds = deployed.function.account, deployed.function.timeout_seconds
            token = {"access_token": self._token(account)} if account else None
            instance = self._take_instance(deployed)
            try:
                return instance.call(event, replace(context, token=token), seconds)
            except Exception as error:
                self._failures.append(f"{name}: {type(error).__name__}: {error}")
                raise
            finally:
                with self._lock:
                    self._idle[name].append(instance)

        return handle

    def _take_instance(self, deployed: Deployed) -> "_Instance":
        with self._lock:
            idle = self._idle[deployed.function.name]
            while idle:
                if (instance := idle.pop()).is_alive:
                    return instance
            return self._start(deployed)

    def _start(self, deployed: Deployed) -> "_Instance":
        instance = _Instance(deployed)
        self._instances.append(instance)
        return instance


class _Instance:
    """One process; it ends with the thread that started it."""

    def __init__(self, deployed: Deployed) -> None:
        self._function = deployed.function
        program = [sys.executable, "-I", "-S", function_instance.__file__]
        command = [*program, self._function.entry_point, str(deployed.code), str(deployed.site)]
        with deployed.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                ending_with_parent(command, user=0, stop_signal=signal.SIGKILL),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=deployed.code,
                env={"PATH": os.defpath, **deployed.environment},
                start_new_session=True,
            )
        self._loaded: dict[str, Any] | None = None

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def loaded(self) -> dict[str, Any]:
        """Return its first line: the loaded modules and settings, or an error."""
        if self._loaded is None:
            self._loaded = self._read(_SECONDS_TO_LOAD)
        return self._loaded

    def call(self, event: Any, context: Context, seconds: float) -> Any:
        """Return the handler's result; raise an exception with the name of the handler's."""
        answer = self.loaded()
        if "error" not in answer:
            self._write({"event": event, "context": vars(context)})
            answer = self._read(seconds)
        if "error" in answer:
            kind, message = answer["error"]
            raise type(kind, (Exception,), {})(message)
        return json.loads(answer["result"])

    def end(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _write(self, call: Mapping[str, Any]) -> None:
        assert self._process.stdin  # noqa: S101 - it is a pipe
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 - it is a pipe
        deadline = time.monotonic() + seconds
        ready, _, _ = select.select([self._process.stdout], [], [], deadline - time.monotonic())
        if not ready:
            self._process.kill()
            raise FunctionTimedOut(f"{self._function.name} did not return within {seconds:g} s")
        line = self._process.stdout.readline()
        if not line:
            return {"error": ["ProcessEnded", f"{self._function.name} ended without a result"]}
        answer: dict[str, Any] = json.loads(line)
        return answer


def _unpack(function: Function, directory: Path, environment: dict[str, str]) -> Deployed:
    code, site = directory / "code", directory / "site"
    with zipfile.ZipFile(function.package) as package:
        package.extractall(code)
    requirements.install(code / "requirements.txt", site)
    return Deployed(function, code, site, directory / "log.jsonl", environment)


def _records(log: Path) -> Iterator[dict[str, Any]]:
    """Return a function's log records, without lines that are not JSON."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _faults(deployed: Deployed, loaded: dict[str, Any]) -> list[str]:
    function = deployed.function
    if "error" in loaded:
        kind, message = loaded["error"]
        return [f"its entry point {function.entry_point} cannot be loaded: {kind}: {message}"]
    modules, settings = loaded["modules"], set(loaded["settings"])
    needed = [name for module in modules for name in _NEEDED.get(module, ())]
    needed += _NEEDED_BY_FUNCTION.get(function.name, ())
    given = {*function.environment, *(one["environment_variable"] for one in function.secrets)}
    missing = dict.fromkeys(name for name in needed if not deployed.environment.get(name))
    unread = sorted(given - settings - _READ_BY_OTHERS)
    return [
        *(f"it needs the variable {name}, which Terraform does not give it" for name in missing),
        *(f"it is given the variable {name}, which its code does not read" for name in unread),
    ]
