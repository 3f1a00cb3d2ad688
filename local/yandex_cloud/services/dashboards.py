"""Monitoring: dashboards."""

import secrets
from typing import Any

from yandex.cloud.monitoring.v3.dashboard_pb2 import Dashboard

from local.yandex_cloud.refusals import in_use
from local.yandex_cloud.service import Collection, now

_ANY = "-1"


class Dashboards(Collection):
    """Dashboards."""

    proto, name = "yandex.cloud.monitoring.v3.dashboard_service", "DashboardService"
    resource, noun, prefix = Dashboard, "Dashboard", "fbe"

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Set the authors and the first etag."""
        resource.created_by = resource.modified_by = "ajeoperator000000001"
        resource.modified_at.CopyFrom(now())
        resource.etag = secrets.token_hex(8)

    def change(self, resource: Any, request: Any) -> None:
        """Refuse a change of a version that is not the latest; the provider sends -1 for any."""
        stored = self.find(resource.id)
        if request.etag not in ("", _ANY, stored.etag):
            raise in_use(f"Etag {request.etag} does not match the dashboard's {stored.etag}")
        resource.modified_at.CopyFrom(now())
        resource.etag = secrets.token_hex(8)
