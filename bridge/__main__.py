"""`python -m bridge`: run the trigger bridge until SIGTERM or SIGINT.

Exit codes: 0 stopped by a signal; 1 the bridge failed (restart it); 2 a setting is invalid (a
restart does not help).
"""

import signal
import socket
import sys
from contextlib import suppress

from bridge.bridge import Bridge
from bridge.function_url import FunctionUrl
from bridge.settings import read
from shared import log
from shared.config import SettingsInvalid

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WATCHDOG_SECONDS = 1.0


def main() -> int:
    """Run the bridge and return the exit code."""
    log.configure("INFO")
    try:
        settings = read()
        function = FunctionUrl(
            settings.bridge_function_id, timeout_seconds=settings.bridge_function_timeout_seconds
        )
    except SettingsInvalid as error:
        log.error(str(error))
        return 2
    log.configure(settings.log_level)
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)  # `_run` waits for them
    return _run(Bridge(settings, function), settings.notify_socket)


def _run(bridge: Bridge, notify_socket: str) -> int:
    bridge.start()
    log.info("bridge started")
    _notify(notify_socket, "READY=1")
    while signal.sigtimedwait(_STOP_SIGNALS, _WATCHDOG_SECONDS) is None:
        if not bridge.is_alive:
            log.error("bridge failed")
            return 1
        state = "connected" if bridge.is_connected else "not connected"
        _notify(notify_socket, f"WATCHDOG=1\nSTATUS={state}")
    _notify(notify_socket, "STOPPING=1")
    bridge.stop()
    log.info("bridge stopped", **vars(bridge.counters))
    return 0


def _notify(notify_socket: str, state: str) -> None:
    """Report the state to systemd (sd_notify), if it started the bridge.

    A leading @ stands for the abstract namespace of sockets.
    """
    if not notify_socket:
        return
    address = f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(state.encode(), address)


if __name__ == "__main__":
    sys.exit(main())
