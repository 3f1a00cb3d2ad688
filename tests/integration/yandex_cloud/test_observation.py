"""Cloud Logging and Monitoring in the fake: log groups and dashboards."""

import pytest
from grpc import StatusCode

from tests.support.yandex_api import Api, refused


def test_log_group_keeps_its_retention(api: Api) -> None:
    made = api.create("LogGroup", name="logs", retention_period={"seconds": 14 * 86400})
    usual = api.create("LogGroup", name="other")

    assert api.call("LogGroup", "Get", log_group_id=made.id) == made
    assert (made.retention_period.seconds, usual.retention_period.seconds) == (1_209_600, 259_200)


@pytest.mark.parametrize("seconds", [60, 32 * 86400])
def test_retention_that_the_platform_refuses(api: Api, seconds: int) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "Retention period must be between 1h and 744h"):
        api.create("LogGroup", name="logs", retention_period={"seconds": seconds})


def test_dashboard_is_changed_only_from_its_latest_version(api: Api) -> None:
    made = api.create("Dashboard", name="main", title="Accumulators")

    changed = api.call(
        "Dashboard", "Update", dashboard_id=made.id, etag=made.etag, name="main", title="New"
    )

    assert changed.title == "New"
    with refused(StatusCode.FAILED_PRECONDITION, "does not match"):
        api.call(
            "Dashboard", "Update", dashboard_id=made.id, etag=made.etag, name="main", title="Old"
        )
    # The provider sends it, and means any version.
    changed = api.call(
        "Dashboard", "Update", dashboard_id=made.id, etag="-1", name="main", title="Newer"
    )
    assert changed.title == "Newer"
