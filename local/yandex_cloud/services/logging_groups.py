"""Cloud Logging: log groups."""

from datetime import timedelta
from typing import Any

from yandex.cloud.logging.v1.log_group_pb2 import LogGroup

from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import invalid
from local.yandex_cloud.service import CLOUD_ID, Collection

_SHORTEST, _LONGEST, _USUAL = timedelta(hours=1), timedelta(days=31), timedelta(days=3)


class LogGroups(AccessBindings, Collection):
    """Log groups."""

    proto, name = "yandex.cloud.logging.v1.log_group_service", "LogGroupService"
    resource, noun, prefix = LogGroup, "Log group", "e23"

    def check(self, resource: Any) -> None:
        """Check the retention period."""
        period = resource.retention_period.ToTimedelta()
        if resource.HasField("retention_period") and not _SHORTEST <= period <= _LONGEST:
            raise invalid(f"Retention period must be between 1h and 744h, but is {period}")

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Set the cloud, and the retention if none was asked for."""
        resource.cloud_id = CLOUD_ID
        resource.status = LogGroup.ACTIVE
        if not resource.HasField("retention_period"):
            resource.retention_period.FromTimedelta(_USUAL)
