"""SIGINT (Ctrl-C) and SIGTERM: both stop the program cleanly."""

import signal

INTERRUPTED = 130
"""The exit code after either signal."""
_BOTH = (signal.SIGINT, signal.SIGTERM)


def handle() -> None:
    """Raise KeyboardInterrupt on SIGTERM and SIGINT, even if a shell ignores SIGINT (with `&`)."""
    for number in _BOTH:
        signal.signal(number, signal.default_int_handler)


def ignore() -> None:
    """Ignore further stop signals during shutdown."""
    for number in _BOTH:
        signal.signal(number, signal.SIG_IGN)
