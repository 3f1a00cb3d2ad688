"""Virtual time: it advances when a step says so, and by a microsecond per transaction."""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class Clock:
    """The one clock of the database, the functions and the cabinets."""

    def __init__(self) -> None:
        self.time = BEGINNING

    def now(self) -> datetime:
        """Return the current time."""
        return self.time

    def seconds(self) -> float:
        """Return the current time in seconds, as `time.monotonic` does."""
        return (self.time - BEGINNING).total_seconds()

    def tick(self) -> datetime:
        """Advance by a microsecond and return the time, which is later than any before."""
        self.time += timedelta(microseconds=1)
        return self.time

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.time += timedelta(seconds=seconds)


def virtual_datetime(clock: Clock) -> type[datetime]:
    """Return a `datetime` class whose now() is the clock's, to be patched into a module."""

    class Virtual(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003 - it is UTC
            return clock.now()

    return Virtual
