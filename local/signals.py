"""Ctrl-C and SIGTERM, which mean the same: stop everything, in order."""

import signal

INTERRUPTED = 130
"""The exit code after either."""
_BOTH = (signal.SIGINT, signal.SIGTERM)


def heed() -> None:
    """SIGTERM like Ctrl-C; and Ctrl-C also where a shell has switched it off: with `&`."""
    for number in _BOTH:
        signal.signal(number, signal.default_int_handler)


def ignore() -> None:
    """Once is enough."""
    for number in _BOTH:
        signal.signal(number, signal.SIG_IGN)
