"""Anomalies: messages that could not be applied, and unexpected facts."""

from shared.models.base import Model, Time


class Anomaly(Model):
    """Something unexpected that a cabinet sent or did."""

    anomaly_id: int
    reason: str
    detail: str
    device_id: str | None
    cabinet_id: str | None
    count: int
    first_at: Time
    at: Time
