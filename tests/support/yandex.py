"""Stateful, in-memory fakes of the Yandex Cloud services that are called over HTTPS."""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import requests
import responses

METADATA = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token"
FUNCTIONS = "https://functions.yandexcloud.net"
MONITORING_WRITE = "https://monitoring.api.cloud.yandex.net/monitoring/v2/data/write"

TOKEN_SECONDS = 12 * 3600
FUNCTION_REQUEST_BYTES = 3_670_016
METRICS_A_WRITE = 10_000
LABELS_A_METRIC = 16

Response = tuple[int, Mapping[str, str], str]


class Refused(Exception):
    """The service responds to this request with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class FakeYandex:
    """A fake cloud behind `requests`, as a context manager; its clock moves only by `advance`.

    `functions` maps ids to callables that get the event, and fail by raising. `metrics` holds what
    was written to Monitoring.
    """

    def __init__(self, folder_id: str = "b1g-folder") -> None:
        self.folder_id = folder_id
        self.functions: dict[str, Callable[[Any], Any]] = {}
        self.events: list[Any] = []
        self.metrics: list[dict[str, Any]] = []
        self.has_service_account = True
        self.tokens_asked_for = 0
        self._now = 0.0
        self._ends: dict[str, float] = {}
        self._failures: deque[int | Exception] = deque()
        self._web = responses.RequestsMock(assert_all_requests_are_fired=False)
        self._web.add_callback("GET", METADATA, self._responding(self._issue_token))
        self._web.add_callback(
            "POST", re.compile(rf"{FUNCTIONS}/.*"), self._responding(self._invoke)
        )
        self._web.add_callback("POST", MONITORING_WRITE, self._responding(self._write_metrics))

    def __enter__(self) -> Self:
        self._web.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._web.stop()
        self._web.reset()

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds

    def clock(self) -> float:
        """Return the fake's time, in seconds."""
        return self._now

    def token(self) -> str:
        """Return the service account's token: the same one until it expires."""
        valid = [token for token, end in self._ends.items() if end > self._now]
        if not valid:
            valid = [f"t1.{len(self._ends) + 1}"]
            self._ends[valid[0]] = self._now + TOKEN_SECONDS
        return valid[-1]

    def revoke_tokens(self) -> None:
        """Make every token issued so far invalid."""
        self._ends = dict.fromkeys(self._ends, self._now)

    def fail_next(self, *failures: int | Exception) -> None:
        """Make the next requests to functions or Monitoring fail with these."""
        self._failures.extend(failures)

    def _responding(
        self, service: Callable[[requests.PreparedRequest], Any]
    ) -> Callable[[requests.PreparedRequest], Response]:
        def respond(request: requests.PreparedRequest) -> Response:
            try:
                return 200, {}, json.dumps(service(request))
            except Refused as error:
                headers = {"X-Function-Error": "true"} if error.status == 502 else {}
                return error.status, headers, json.dumps({"errorMessage": str(error)})

        return respond

    def _issue_token(self, request: requests.PreparedRequest) -> dict[str, Any]:
        self.tokens_asked_for += 1
        if request.headers.get("Metadata-Flavor") != "Google":
            raise Refused(403, "Missing Metadata-Flavor:Google header")
        if not self.has_service_account:
            raise Refused(404, "no service account")
        token = self.token()
        left = int(self._ends[token] - self._now)
        return {"access_token": token, "expires_in": left, "token_type": "Bearer"}

    def _invoke(self, request: requests.PreparedRequest) -> Any:
        self._check_failure_and_token(request)
        url = urlsplit(str(request.url))
        function = self.functions.get(url.path.removeprefix("/"))
        if function is None:
            raise Refused(404, "function not found")
        if parse_qs(url.query).get("integration") != ["raw"]:
            raise Refused(400, "this fake supports only integration=raw")
        if len(request.body or "") > FUNCTION_REQUEST_BYTES:
            raise Refused(413, "request too large")
        event = json.loads(request.body or "")
        self.events.append(event)
        try:
            return function(event)
        except Exception as error:
            raise Refused(502, f"{type(error).__name__}: {error}") from error

    def _write_metrics(self, request: requests.PreparedRequest) -> dict[str, Any]:
        self._check_failure_and_token(request)
        query = parse_qs(urlsplit(str(request.url)).query)
        if query.get("folderId") != [self.folder_id]:
            raise Refused(403, "permission denied to this folder")
        if query.get("service") != ["custom"]:
            raise Refused(400, "service must be custom")
        body = json.loads(request.body or "")
        metrics = [_metric(body, metric) for metric in body["metrics"]]
        if len(metrics) > METRICS_A_WRITE:
            raise Refused(400, f"more than {METRICS_A_WRITE} metrics in one write")
        self.metrics += metrics
        return {"writtenMetricsCount": len(metrics)}

    def _check_failure_and_token(self, request: requests.PreparedRequest) -> None:
        if self._failures:
            failure = self._failures.popleft()
            if isinstance(failure, Exception):
                raise failure
            raise Refused(failure, "the test asked for this")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._ends.get(token, 0) <= self._now:
            raise Refused(403, "the token is invalid or has expired")


def _metric(body: dict[str, Any], metric: dict[str, Any]) -> dict[str, Any]:
    """Return a metric as it is stored: with the labels and the time of the whole write."""
    labels = body.get("labels", {}) | metric.get("labels", {})
    if not isinstance(metric.get("name"), str) or not metric["name"]:
        raise Refused(400, "a metric needs a name")
    if len(labels) > LABELS_A_METRIC:
        raise Refused(400, f"{metric['name']}: more than {LABELS_A_METRIC} labels")
    if not all(isinstance(value, str) and value for value in labels.values()):
        raise Refused(400, f"{metric['name']}: a label's value must be a text that is not empty")
    if metric.get("type", "DGAUGE") not in {"DGAUGE", "IGAUGE", "COUNTER", "RATE"}:
        raise Refused(400, f"{metric['name']}: unknown type {metric['type']}")
    points = metric.get("timeseries") or [metric]
    if not all(isinstance(point.get("value"), int | float) for point in points):
        raise Refused(400, f"{metric['name']}: a value must be a number")
    return {"ts": body.get("ts"), "type": "DGAUGE"} | metric | {"labels": labels}
