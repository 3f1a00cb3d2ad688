"""Yandex Monitoring: writing the product's metrics.

Limits of the service: 10,000 metrics a write, 1,000 values a label.
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
    """A gauge's value now."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def write(metrics: Sequence[Metric], *, folder_id: str, token: str) -> bool:
    """Write gauges with a service account's IAM token; False if the service did not take them.

    Metrics are not worth a failed poll: what goes wrong is logged, not raised.
    """
    # Only the poll needs it, and only where a folder is configured: it costs a cold start 80 ms.
    import requests  # noqa: PLC0415 - as said

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
