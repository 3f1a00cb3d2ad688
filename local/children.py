"""Server processes that end with this process; one for each name and directory."""

import fcntl
import os
import pwd
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from local import CannotStart, end_with_parent

HOST = "127.0.0.1"
_PORTS = range(15_000, 32_000)
_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"  # often not in PATH
_SECONDS_TO_START = 30
_SECONDS_TO_STOP = 2
_SECONDS_TO_RELEASE_LOCK = 10


def find_program(name: str) -> str | None:
    """Return a server's executable, or None if it is not installed."""
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def free_port() -> int:
    """Return a TCP port that is free now.

    It is below the ports that the system itself gives to connections and to listeners without a
    port: one of those could take it before its server starts.
    """
    while True:
        port = secrets.choice(_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port


def allow_descriptors() -> None:
    """Raise the limit of open files of this process and its children to what the system allows.

    The usual 1024 are fewer than a thousand connections need.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems report "unlimited" and allow less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def unprivileged_user() -> int:
    """Return the uid and gid for servers that refuse to run as root: nobody's; 0 if not root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else 0


def make_directory(directory: Path, owner: int = 0) -> None:
    """Make `directory`; with `owner`, private to that user. Raises CannotStart."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if owner:
            os.chown(directory, owner, owner)
            directory.chmod(0o700)
    except OSError as error:
        raise CannotStart(f"the directory {directory} cannot be used: {error.strerror}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise CannotStart(f"the directory {directory} belongs to another user: choose another")


def ending_with_parent(
    command: Sequence[str | Path], *, user: int, stop_signal: signal.Signals
) -> list[str]:
    """Return the arguments that run `command` as `user`, so that it ends with this thread."""
    program = [sys.executable, "-S", "-E", end_with_parent.__file__]
    return [*program, str(int(stop_signal)), str(os.getpid()), str(user), *map(str, command)]


class Child:
    """A server process, with its lock and log in `directory`.

    The server and its child processes inherit the lock. If this process is killed, they hold it
    until they end, and the next `start` waits for that.
    The server ends with the thread that starts it.
    """

    def __init__(self, name: str, directory: Path, *, stop_signal: signal.Signals) -> None:
        self._name = name
        self._directory = directory
        self._stop_signal = stop_signal
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(  # noqa: PLR0913 - each is one property of the server
        self,
        command: Sequence[str | Path],
        *,
        port: int,
        ready: Callable[[], bool],
        cwd: Path,
        user: int = 0,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start `command`, which listens on `port`, and return when it is `ready`.

        Raises CannotStart if the directory or the port is in use, or the server does not start.
        """
        with self._take_lock() as lock, self._log.open("wb") as log:
            check_is_free(port, "--http-port or --mqtt-port")
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                ending_with_parent(command, user=user, stop_signal=self._stop_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=environment or {},
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which stops the servers
            )
            lock.truncate(0)
            lock.write(f"{os.getpid()} {self._process.pid}".encode())
        self._wait_until(ready)

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Stop the server with SIGTERM, and with SIGKILL after a time limit."""
        self.signal(self._stop_signal)
        try:
            self._wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.signal(signal.SIGKILL)
        self._wait()

    def _wait(self, seconds: float | None = None) -> None:
        if self._process is not None:
            self._process.wait(seconds)

    def _take_lock(self) -> IO[bytes]:
        lock = (self._directory / f"{self._name}.lock").open("a+b")
        deadline = time.monotonic() + _SECONDS_TO_RELEASE_LOCK
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                owner, server = map(int, lock.read().split() or (0, 0))
                expired = time.monotonic() > deadline
                if expired or (owner != os.getpid() and _is_alive(owner)):
                    lock.close()
                    raise CannotStart(
                        f"{self._directory} is in use by process {server if expired else owner}: "
                        "stop that one, or choose another directory with --data-dir"
                    ) from None
                time.sleep(0.02)
            else:
                return lock

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not ready():
            is_late = time.monotonic() > deadline
            if is_late or self.pid is None:
                self.kill()
                reason = (
                    f"not ready after {_SECONDS_TO_START} s" if is_late else self._logged_reason()
                )
                raise CannotStart(f"{self._name} cannot start in {self._directory}: {reason}")
            time.sleep(0.005)

    def _logged_reason(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() or ["its log is empty"]
        return next((line for line in lines if "FATAL" in line), lines[-1])


def check_is_free(port: int, options: str) -> None:
    """Raise CannotStart, which names `options`, if something listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CannotStart(
                f"port {port} cannot be used ({error.strerror}): "
                f"stop what listens there, or choose another port with {options}"
            ) from None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
