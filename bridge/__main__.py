"""`python -m bridge`: run the trigger bridge until SIGTERM or SIGINT.

Exit codes: 0 stopped as asked, 1 the bridge died of a fault of its own (start it again), 2 the
settings are wrong (starting it again would not help).
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
_SIGN_OF_LIFE_SECONDS = 1.0


def main() -> int:
    """Run the bridge; the exit code."""
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
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)  # they are waited for instead
    return _run(Bridge(settings, function), settings.notify_socket)


def _run(bridge: Bridge, notify_socket: str) -> int:
    bridge.start()
    log.info("the bridge has started")
    _notify(notify_socket, "READY=1")
    while signal.sigtimedwait(_STOP_SIGNALS, _SIGN_OF_LIFE_SECONDS) is None:
        if not bridge.alive:
            log.error("the bridge died of a fault of its own")
            return 1
        state = "connected" if bridge.connected else "not connected"
        _notify(notify_socket, f"WATCHDOG=1\nSTATUS={state}")
    _notify(notify_socket, "STOPPING=1")
    bridge.stop()
    log.info("the bridge has stopped", **vars(bridge.counters))
    return 0


def _notify(notify_socket: str, state: str) -> None:
    """Tell systemd (sd_notify), if it listens; a leading @ is the abstract namespace."""
    if not notify_socket:
        return
    address = f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(state.encode(), address)


if __name__ == "__main__":
    sys.exit(main())
