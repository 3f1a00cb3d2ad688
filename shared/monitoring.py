"""Yandex Monitoring: write the product's metrics.

The service accepts 10,000 metrics in a request and 1,000 values of a label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared import log

URL = "https://monitoring.api.cloud.yandex.net/monitoring/v2/data/write"
MAX_METRICS = 10_000
MAX_LABEL_VALUES = 1_000
TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Metric:
    """The present value of a gauge."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def write(metrics: Sequence[Metric], *, folder_id: str, token: str) -> bool:
    """Write gauges with a service account's IAM token; False if they were not accepted.

    Failures are logged, not raised: missing metrics must not fail the poll.
    """
    import requests  # noqa: PLC0415 - 80 ms of a cold start; only the poll with metrics needs it

    for start in range(0, len(metrics), MAX_METRICS):
        body = {
            "metrics": [
                {"name": m.name, "labels": dict(m.labels), "type": "DGAUGE", "value": m.value}
                for m in metrics[start : start + MAX_METRICS]
            ]
        }
        try:
            answer = requests.post(
                URL,
                params={"folderId": folder_id, "service": "custom"},
                headers={"Authorization": f"Bearer {token}"},
                json=body,
                timeout=TIMEOUT_SECONDS,
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            log.error("metrics were not written", status=status, kind=type(error).__name__)
            return False
    return True
