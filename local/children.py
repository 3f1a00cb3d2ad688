"""Server processes that die with this one; at most one of a name in a directory."""

import fcntl
import os
import pwd
import resource
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

from local import CannotStart, leash

HOST = "127.0.0.1"
_SBIN = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"  # not on everybody's PATH
_SECONDS_TO_START = 30
_SECONDS_TO_STOP = 2
_SECONDS_TO_VANISH = 10


def find_program(name: str) -> str | None:
    """A server's executable, if it is installed."""
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def allow_descriptors() -> None:
    """Let this process, and those it starts, have as many open files as the system allows.

    The usual 1024 are fewer than a thousand connections need.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems say "unlimited" and allow less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def unprivileged_user() -> int:
    """The uid, and gid, for servers that must not be root: nobody's; 0 when we are not root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else 0


def make_directory(directory: Path, owner: int = 0) -> None:
    """Make `directory`, private to `owner` when one is given. Raises CannotStart."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if owner:
            os.chown(directory, owner, owner)
            directory.chmod(0o700)
    except OSError as error:
        raise CannotStart(f"the directory {directory} cannot be used: {error.strerror}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise CannotStart(f"the directory {directory} belongs to another user: choose another")


def leashed(command: Sequence[str | Path], *, user: int, last_signal: signal.Signals) -> list[str]:
    """The arguments that run `command` so that it dies with this thread, as `user`."""
    leash_arguments = [str(int(last_signal)), str(os.getpid()), str(user)]
    return [sys.executable, "-S", "-E", leash.__file__, *leash_arguments, *map(str, command)]


class Child:
    """One server process, `name`, with its lock and log in `directory`.

    The lock is inherited by the server and by its own children. What a killed parent has left
    behind therefore holds it until all of it is gone, and start waits for that.
    Start it from a thread that lives as long as the server should.
    """

    def __init__(self, name: str, directory: Path, *, last_signal: signal.Signals) -> None:
        self._name = name
        self._directory = directory
        self._last_signal = last_signal
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(  # noqa: PLR0913 - each is one fact of the server
        self,
        command: Sequence[str | Path],
        *,
        port: int,
        ready: Callable[[], bool],
        cwd: Path,
        user: int = 0,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start `command`, which will listen on `port`, and return when it is `ready`.

        Raises CannotStart when the directory or the port is in use, or when the server gives up.
        """
        with self._take_lock() as lock, self._log.open("wb") as log:
            _refuse_taken(port)
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                leashed(command, user=user, last_signal=self._last_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env=environment or {},
                pass_fds=[lock.fileno()],
                start_new_session=True,  # Ctrl-C is for us, who stop things in order
            )
            lock.truncate(0)
            lock.write(f"{os.getpid()} {self._process.pid}".encode())
        self._wait_until(ready)

    def signal(self, number: signal.Signals) -> None:
        """Send the server a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self) -> None:
        """Ask the server to end, and wait; insist after a while."""
        self.signal(self._last_signal)
        try:
            self._wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server at once, by SIGKILL."""
        self.signal(signal.SIGKILL)
        self._wait()

    def _wait(self, seconds: float | None = None) -> None:
        if self._process is not None:
            self._process.wait(seconds)

    def _take_lock(self) -> IO[bytes]:
        lock = (self._directory / f"{self._name}.lock").open("a+b")
        deadline = time.monotonic() + _SECONDS_TO_VANISH
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
                        "stop that one, or choose another data directory"
                    ) from None
                time.sleep(0.02)
            else:
                return lock

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not ready():
            late = time.monotonic() > deadline
            if late or self.pid is None:
                self.kill()
                reason = f"not ready after {_SECONDS_TO_START} s" if late else self._last_words()
                raise CannotStart(f"{self._name} cannot start in {self._directory}: {reason}")
            time.sleep(0.005)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines() or ["it wrote nothing"]
        return next((line for line in lines if "FATAL" in line), lines[-1])


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CannotStart(
                f"port {port} cannot be used ({error.strerror}): "
                "stop what listens there, or choose another port"
            ) from None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
