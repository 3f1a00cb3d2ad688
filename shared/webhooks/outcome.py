"""What became of an attempt to deliver, and who makes one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

TIMEOUT_SECONDS = 10.0
"""For all of an attempt: the name, the connection, the request, the response."""


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt: an HTTP status, or a word for why there is none."""

    status_code: int | None
    error: str | None = None
    retry_after: float | None = None
    """Seconds that the receiver asked to wait."""
    duration_ms: int = 0

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has taken the message."""
        return self.status_code is not None and 200 <= self.status_code < 300  # noqa: PLR2004 - 2xx

    def __str__(self) -> str:
        return self.error or f"status {self.status_code}"


class Sender(Protocol):
    """Sends messages to one receiver."""

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Make one attempt. It raises nothing."""

    def close(self) -> None:
        """Close the connection."""
