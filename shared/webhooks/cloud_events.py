"""Events as CloudEvents 1.0, in structured JSON (cloudevents.io)."""

import json
from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
SOURCE = "urn:scooter-accumulator:events"


def body(event: Mapping[str, Any]) -> bytes:
    """Return the body for an event of the API: its fields as JSON has them."""
    extensions = {
        "cabinetid": event["cabinet_id"],
        "causedby": event["caused_by"],
        "requestedby": event["requested_by"],
    }
    attributes = {
        "specversion": "1.0",
        "id": event["event_id"],
        "source": SOURCE,
        "type": event["type"],
        "subject": event["subject"],
        "time": event["at"],
        "datacontenttype": "application/json",
        **{name: value for name, value in extensions.items() if value is not None},
        "data": event["resource"],
    }
    return json.dumps(attributes, ensure_ascii=False, separators=(",", ":")).encode()
