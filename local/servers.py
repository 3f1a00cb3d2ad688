"""The stack's servers: restarts them when they die, stops and starts them on request."""

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from threading import Condition
from typing import Self

from local import CannotStart
from local.children import Child
from shared import log

_WATCH_SECONDS = 0.05
_SECONDS_TO_START = 15


class Server(ABC):
    """A child process that can be restarted; it ends with this process."""

    def __init__(self, name: str, directory: Path, *, stop_signal: signal.Signals) -> None:
        self._directory = directory
        self._child = Child(name, directory, stop_signal=stop_signal)

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        return self._child.pid

    @abstractmethod
    def start(self) -> object:
        """Start it and return when it accepts connections. Raises CannotStart."""

    def stop(self) -> None:
        """Stop it cleanly; open connections are closed."""
        self._child.stop()

    def kill(self) -> None:
        """Kill it, as a power cut would. It can be started again."""
        self._child.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # interrupted: it may run already
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Servers:
    """Servers by name. Only `watch` starts them: a server ends with the thread that started it."""

    def __init__(self, by_name: Mapping[str, Server]) -> None:
        self._by_name = by_name
        self._stopped: set[str] = set()
        self._ready = set(by_name)
        self._changed = Condition()

    def pids(self) -> dict[str, int | None]:
        """The process id of each server; None while it does not run."""
        return {name: server.pid for name, server in self._by_name.items()}

    def stop(self, name: str) -> None:
        """Stop a server until `start`."""
        with self._changed:
            self._stopped.add(name)
            self._ready.discard(name)
        self._by_name[name].stop()

    def start(self, name: str) -> bool:
        """Let `watch` start a server; return whether it is ready within a time limit."""
        with self._changed:
            self._stopped.discard(name)
            return self._changed.wait_for(lambda: name in self._ready, _SECONDS_TO_START)

    def watch(self) -> None:
        """Restart servers that died, until interrupted."""
        while True:
            for name, server in self._by_name.items():
                if server.pid is None and name not in self._stopped:
                    self._restart(name, server)
            time.sleep(_WATCH_SECONDS)

    def _restart(self, name: str, server: Server) -> None:
        log.warning("a server does not run: starting it", server=name)
        with self._changed:
            self._ready.discard(name)
        try:
            server.start()
        except CannotStart as error:
            log.error("server cannot start; retrying", server=name, reason=str(error))
            return
        with self._changed:
            self._ready.add(name)
            self._changed.notify_all()
