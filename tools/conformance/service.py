"""The service that the cabinet under test works with: its API, and its broker for odd commands."""

import json
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from local.api import Api
from local.broker import SERVICE_LOGIN
from tools import ToolError
from tools.conformance.transcript import Called, Sent, Transcript
from tools.conformance.view import Target

_CHARGED = 80  # percent
_PUBLISH_SECONDS = 10
_MOSCOW = {"lat": 55.7558, "lon": 37.6176}
_CONTRACTOR = "conformance-kit"
_REASON = "conformance kit"


class Service:
    """Calls the API as an operator, and publishes to the cabinet as the service does."""

    def __init__(
        self, api: Api, broker: tuple[str, int], target: Target, transcript: Transcript
    ) -> None:
        self._api = api
        self._target = target
        self._transcript = transcript
        self._broker = broker
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(*SERVICE_LOGIN)

    def __enter__(self) -> Self:
        try:
            self._client.connect(*self._broker)
        except OSError as error:
            host, port = self._broker
            raise ToolError(f"cannot reach the broker at {host}:{port}: {error}") from None
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def register(self) -> None:
        """Register the cabinet, or correct its number of cells. Raises ToolError."""
        cabinet_id, cells = self._target.device_id, self._target.cells
        body = {"cabinet_id": cabinet_id, "coords": _MOSCOW, "cells_total": cells}
        status, problem = self._call("POST", "/v1/cabinets", body)
        if status == HTTPStatus.CONFLICT:
            change = {"cells_total": cells, "reason": _REASON}
            status, problem = self._call("PATCH", f"/v1/cabinets/{cabinet_id}", change)
        if status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise ToolError(f"the cabinet cannot be registered: {status} {json.dumps(problem)}")

    def put_in_service(self, accumulator_ids: list[str]) -> None:
        """Register accumulators that the cabinet has reported, and release them for booking."""
        for accumulator_id in accumulator_ids:
            self._call("POST", "/v1/accumulators", {"accumulator_id": accumulator_id})
            change = {"status": "in_service", "reason": _REASON}
            # A cabinet can report anything for an id.
            name = quote(accumulator_id, safe="", errors="replace")
            self._call("PATCH", f"/v1/accumulators/{name}", change)

    def book(self) -> str | None:
        """Book an accumulator, or an empty cell if there is none; return the booking's id."""
        for kind in ("issue", "return"):
            body = {"cabinet_id": self._target.device_id, "contractor_id": _CONTRACTOR}
            status, booking = self._call("POST", "/v1/bookings", {**body, "kind": kind, "count": 1})
            if status == HTTPStatus.CREATED:
                return str(booking["booking_id"])
        return None

    def unlock(self, booking_id: str) -> None:
        """Unlock a booking; wait for the service's answer."""
        self._call("POST", f"/v1/bookings/{booking_id}/unlock", None)

    def send(self, purpose: str, kind: str, **fields: Any) -> Sent:
        """Make a command, and publish it."""
        return self.publish(self.make(purpose, kind, **fields))

    def make(self, purpose: str, kind: str, *, broadcast: bool = False, **fields: Any) -> Sent:
        """Return a command with these fields. `issued_ago_s`: how old it is."""
        issued = datetime.now(UTC) - timedelta(seconds=fields.pop("issued_ago_s", 0))
        command = {
            "v": 1,
            "command_id": str(uuid4()),
            "kind": kind,
            "issued_at": issued.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "ttl_s": 15,
            **fields,
        }
        topic = self._target.broadcasts if broadcast else self._target.commands
        return Sent(purpose, command, topic)

    def publish(self, sent: Sent) -> Sent:
        """Publish a command that was made before. Raises ToolError if the broker is away."""
        self._transcript.add(sent)
        info = self._client.publish(sent.topic, json.dumps(sent.command), qos=1)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            raise ToolError(f"the broker does not take commands: {info.rc!r}")
        info.wait_for_publish(_PUBLISH_SECONDS)
        return sent

    def _call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        response = self._api.call(method, path, body)
        self._transcript.add(Called(method, path, response.status, response.body))
        return response.status, response.body
