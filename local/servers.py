"""The stack's own servers: started again when they die, as a cloud does, or put down at will."""

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

_LOOK_SECONDS = 0.05
_SECONDS_TO_START = 15


class Server(ABC):
    """A child that can be started again after its end; it dies with this process."""

    def __init__(self, name: str, directory: Path, *, last_signal: signal.Signals) -> None:
        self._directory = directory
        self._child = Child(name, directory, last_signal=last_signal)

    @property
    def pid(self) -> int | None:
        """Its process; None while it does not run."""
        return self._child.pid

    @abstractmethod
    def start(self) -> object:
        """Start it; when this returns, it answers. Raises CannotStart."""

    def stop(self) -> None:
        """Stop it in order; open connections are closed."""
        self._child.stop()

    def kill(self) -> None:
        """Let it die as by a power cut; start works again."""
        self._child.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # interrupted: it is not yet ready, but may run
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Servers:
    """Running servers by name. They die with the thread that starts them: that of `watch`."""

    def __init__(self, by_name: Mapping[str, Server]) -> None:
        self._by_name = by_name
        self._put_down: set[str] = set()
        self._up = set(by_name)
        self._changed = Condition()

    def pids(self) -> dict[str, int | None]:
        """The process of each server; None while it is down."""
        return {name: server.pid for name, server in self._by_name.items()}

    def stop(self, name: str) -> None:
        """Put a server down; it stays so until `start`."""
        with self._changed:
            self._put_down.add(name)
            self._up.discard(name)
        self._by_name[name].stop()

    def start(self, name: str) -> bool:
        """Let a server run again; whether it answers within some seconds."""
        with self._changed:
            self._put_down.discard(name)
            return self._changed.wait_for(lambda: name in self._up, _SECONDS_TO_START)

    def watch(self) -> None:
        """Start again what has died, for ever."""
        while True:
            for name, server in self._by_name.items():
                if server.pid is None and name not in self._put_down:
                    self._revive(name, server)
            time.sleep(_LOOK_SECONDS)

    def _revive(self, name: str, server: Server) -> None:
        log.warning("a server does not run: starting it", server=name)
        with self._changed:
            self._up.discard(name)
        try:
            server.start()
        except CannotStart as error:
            log.error("a server cannot start: trying again", server=name, reason=str(error))
            return
        with self._changed:
            self._up.add(name)
            self._changed.notify_all()
