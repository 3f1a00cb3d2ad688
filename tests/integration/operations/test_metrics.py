"""Product metrics: written to Monitoring if configured; a failed write never fails the poll."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.functions import FunctionPool
from shared import config, monitoring
from shared.monitoring import Metric
from tests.support.service import Service, running
from tests.support.yandex import FakeYandex

FOLDER = "b1g-folder"


@pytest.fixture
def yandex() -> Iterator[FakeYandex]:
    with FakeYandex(FOLDER) as cloud:
        yield cloud


@pytest.fixture
def service(
    yandex: FakeYandex, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service with a Monitoring folder and a service account's token."""
    with running(database_url, monkeypatch, MONITORING_FOLDER_ID=FOLDER) as service:
        without_token, service.pool = service.pool, pool_with(yandex)
        without_token.close()
        gateway = Service(database_url, service.queue, service.pool)
        try:
            yield gateway
        finally:
            service.pool.close()


def pool_with(yandex: FakeYandex) -> FunctionPool:
    return FunctionPool(token={"access_token": yandex.token(), "token_type": "Bearer"})


def values(yandex: FakeYandex) -> dict[tuple[Any, ...], float]:
    """Return the values that were written, by metric name and label values."""
    return {(m["name"], *m["labels"].values()): m["value"] for m in yandex.metrics}


def test_a_poll_writes_the_metrics_of_cabinets_contractors_bookings_and_commands(
    service: Service, yandex: FakeYandex
) -> None:
    service.add_cabinet(charges=[98, 85, 40, None])
    service.unlock(service.book(1))
    service.take(1)
    service.poll()
    found = values(yandex)
    assert found["cabinet_accumulators", "C-1"] == 3
    assert found["cabinet_available", "C-1"] == 1
    assert found["cabinet_charge_mean", "C-1"] == 62.5
    assert found["cabinet_charge_min", "C-1"] == 40
    assert found["contractor_accumulators", "T-1"] == 1
    assert found["accumulators", "registered"] == 4
    assert found["accumulators", "with_contractors"] == 1
    assert found["bookings", "completed"] == 1
    assert found["commands", "succeeded"] == 1
    assert ("answer_median_ms",) in found
    assert ("feed_waiting_seconds",) in found
    assert ("database_rows_written",) in found


def test_an_empty_cabinet_has_no_charge_metric(service: Service, yandex: FakeYandex) -> None:
    service.add_cabinet()
    service.poll()
    names = {metric["name"] for metric in yandex.metrics}
    assert "cabinet_accumulators" in names
    assert not names & {"cabinet_charge_mean", "cabinet_charge_min", "answer_median_ms"}


def test_every_metric_is_a_gauge_without_a_timestamp(service: Service, yandex: FakeYandex) -> None:
    service.add_cabinet(charges=[98])
    service.poll()
    assert {(metric["type"], metric["ts"]) for metric in yandex.metrics} == {("DGAUGE", None)}


def test_no_metric_is_written_without_a_folder(
    yandex: FakeYandex, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, monkeypatch) as service:
        service.pool.close()
        service.pool = pool_with(yandex)
        assert service.poll()["asked"]
        service.pool.close()
    assert yandex.metrics == []


def test_no_metric_is_written_without_a_token(
    yandex: FakeYandex, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, monkeypatch, MONITORING_FOLDER_ID=FOLDER) as service:
        assert service.poll()["asked"]
    assert yandex.metrics == []


def test_each_label_has_at_most_1000_values(service: Service, yandex: FakeYandex) -> None:
    service.sql(
        "INSERT INTO cabinets (cabinet_id, device_id, lat, lon, protocol, cells_total)"
        " SELECT 'C-' || n, 'C-' || n, 0, 0, 'native.v1', 1 FROM generate_series(1, 1100) n"
    )
    service.sql("INSERT INTO cells (cabinet_id, cell_number) SELECT cabinet_id, 1 FROM cabinets")
    service.sql(
        "INSERT INTO accumulators (accumulator_id, contractor_id)"
        " SELECT 'A-' || n, 'T-' || n FROM generate_series(1, 1100) n"
    )
    service.poll()
    for label in ("cabinet_id", "contractor_id"):
        named = {m["labels"][label] for m in yandex.metrics if label in m["labels"]}
        assert len(named) == 1000


def test_metrics_beyond_the_limit_of_one_request_are_written_in_several(yandex: FakeYandex) -> None:
    metrics = [Metric("m", n, {"n": str(n)}) for n in range(10_001)]
    assert monitoring.write(metrics, folder_id=FOLDER, token=yandex.token())
    assert len(yandex.metrics) == 10_001


def test_no_request_is_made_without_metrics(yandex: FakeYandex) -> None:
    yandex.fail_next(500)
    assert monitoring.write([], folder_id=FOLDER, token=yandex.token())


@pytest.mark.parametrize(
    "failure",
    [400, 403, 429, 500, 503, requests.ConnectionError("no route"), requests.Timeout("slow")],
    ids=str,
)
def test_a_failed_write_is_logged_and_the_poll_succeeds(
    service: Service,
    yandex: FakeYandex,
    failure: int | Exception,
    capsys: pytest.CaptureFixture[str],
) -> None:
    yandex.fail_next(failure)
    assert service.poll()["asked"]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [error] = [line for line in lines if line["message"] == "metrics were not written"]
    assert error["level"] == "ERROR"
    assert error["status"] == (failure if isinstance(failure, int) else None)
    assert yandex.token() not in json.dumps(lines)
    service.poll()
    assert yandex.metrics


def test_the_poll_succeeds_with_an_expired_token(service: Service, yandex: FakeYandex) -> None:
    yandex.revoke_tokens()
    assert service.poll()["asked"]
    assert yandex.metrics == []


def test_the_lag_of_each_active_webhook_is_a_metric(
    service: Service, yandex: FakeYandex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOKS_ALLOW_PRIVATE", "true")
    config.settings.cache_clear()
    slow, paused = (
        service.post("/v1/webhooks", {"url": "http://127.0.0.1:9/"})["webhook_id"] for _ in "12"
    )
    service.patch(f"/v1/webhooks/{paused}", {"status": "paused"})
    service.poll()
    assert values(yandex)["webhook_lag_seconds", slow] == 0
    service.connect("C-1")
    service.call("GET", "/v1/events", key="read")
    service.advance_time(120)
    service.poll()
    found = values(yandex)
    assert 120 <= found["webhook_lag_seconds", slow] < 180
    assert ("webhook_lag_seconds", paused) not in found
