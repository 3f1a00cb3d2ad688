"""Virtual time: it passes when the schedule says so, and a little with every transaction."""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class Clock:
    """The one clock of the database, the functions and the cabinets."""

    def __init__(self) -> None:
        self.time = BEGINNING

    def now(self) -> datetime:
        """The present moment."""
        return self.time

    def tick(self) -> datetime:
        """The present moment, later than every one before it."""
        self.time += timedelta(microseconds=1)
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


def virtual_datetime(clock: Clock) -> type[datetime]:
    """`datetime` for a module that asks it what time it is."""

    class Virtual(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # noqa: ARG003 - it is UTC
            return clock.now()

    return Virtual
