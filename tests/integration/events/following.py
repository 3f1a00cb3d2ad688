"""Read the feed as a client does."""

from typing import Any

from tests.support.service import Service

Event = dict[str, Any]


class Follower:
    """Follows the feed from the moment when it is made."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.cursor: str = service.get("/v1/events")["cursor"]

    def read(self, **query: Any) -> list[Event]:
        """Return all events since the last call."""
        found: list[Event] = []
        while True:
            page = self.page(**query)
            found += page["events"]
            if page["cursor"] == self.cursor:
                return found
            self.cursor = page["cursor"]

    def page(self, **query: Any) -> Any:
        """Return the next page, and stay where this follower is."""
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return self._service.get(f"/v1/events?after={self.cursor}{more}")

    def types(self, **query: Any) -> list[str]:
        """Return the types of all events since the last call."""
        return [event["type"] for event in self.read(**query)]
