"""Structured logs: one JSON object per line, in Yandex Cloud Logging's format."""

import json
import logging
import sys
from contextvars import ContextVar
from typing import Any, TextIO

_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_context: ContextVar[dict[str, Any] | None] = ContextVar("log_context", default=None)

_logger = logging.getLogger("scooter_accumulator")


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "message": record.getMessage(),
            "level": _LEVELS.get(record.levelname, record.levelname),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        # ASCII: some readers end a line at characters other than \n.
        return json.dumps(fields, default=str)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write the service's records of at least `level` to `stream`, by default standard output.

    They do not propagate to the platform's root logger.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_JsonLine())
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False


def begin(level: str, **fields: Any) -> None:
    """Begin a function's invocation: add `fields` to all its records."""
    configure(level)
    _context.set(fields)


def bind(**fields: Any) -> None:
    """Add `fields` to the later records of this invocation."""
    _context.set({**(_context.get() or {}), **fields})


def _write(level: int, message: str, fields: dict[str, Any], *, trace: bool = False) -> None:
    merged = {**(_context.get() or {}), **fields}
    _logger.log(level, message, extra={"fields": merged}, exc_info=trace)


def debug(message: str, **fields: Any) -> None:
    """Log a detail for developers."""
    _write(logging.DEBUG, message, fields)


def info(message: str, **fields: Any) -> None:
    """Log a normal event."""
    _write(logging.INFO, message, fields)


def warning(message: str, **fields: Any) -> None:
    """Log an event that should be rare."""
    _write(logging.WARNING, message, fields)


def error(message: str, **fields: Any) -> None:
    """Log a failure that needs attention, with the exception being handled, if any."""
    _write(logging.ERROR, message, fields, trace=sys.exc_info()[0] is not None)
