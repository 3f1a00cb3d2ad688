"""Structured logs: one JSON object a line, as Yandex Cloud Logging takes them."""

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
        # ASCII: some readers take more characters than \n for the end of a line.
        return json.dumps(fields, default=str)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Write the service's records to `stream` (standard output unless given) from `level` up.

    The platform's root logger is left alone: the records do not propagate to it.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_JsonLine())
    _logger.handlers[:] = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False


def begin(level: str, **fields: Any) -> None:
    """A function's invocation begins: `fields` are added to all its records."""
    configure(level)
    _context.set(fields)


def bind(**fields: Any) -> None:
    """Add `fields` to the later records of this invocation."""
    _context.set({**(_context.get() or {}), **fields})


def _write(level: int, message: str, fields: dict[str, Any], *, trace: bool = False) -> None:
    merged = {**(_context.get() or {}), **fields}
    _logger.log(level, message, extra={"fields": merged}, exc_info=trace)


def debug(message: str, **fields: Any) -> None:
    """Record a detail for the developer."""
    _write(logging.DEBUG, message, fields)


def info(message: str, **fields: Any) -> None:
    """Record what happened."""
    _write(logging.INFO, message, fields)


def warning(message: str, **fields: Any) -> None:
    """Record what should not happen often."""
    _write(logging.WARNING, message, fields)


def error(message: str, **fields: Any) -> None:
    """Record what a person must look at, with the exception being handled, if any."""
    _write(logging.ERROR, message, fields, trace=sys.exc_info()[0] is not None)
