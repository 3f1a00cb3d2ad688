"""Product metrics: written to Monitoring where a folder is named, and never worth a failed poll."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.functions import FunctionPool
from shared import monitoring
from shared.monitoring import Metric
from tests.service import Service, running
from tests.yandex import FakeYandex

FOLDER = "b1g-folder"


@pytest.fixture
def yandex() -> Iterator[FakeYandex]:
    with FakeYandex(FOLDER) as cloud:
        yield cloud


@pytest.fixture
def service(
    yandex: FakeYandex, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service with a folder for its metrics, and a service account's token."""
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
    """What was written: values by name and labels' values."""
    return {(m["name"], *m["labels"].values()): m["value"] for m in yandex.metrics}


def test_a_poll_writes_what_the_service_has(service: Service, yandex: FakeYandex) -> None:
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
    assert ("database_rows_written",) in found


def test_an_empty_cabinet_has_no_charge(service: Service, yandex: FakeYandex) -> None:
    service.add_cabinet()
    service.poll()
    names = {metric["name"] for metric in yandex.metrics}
    assert "cabinet_accumulators" in names
    assert not names & {"cabinet_charge_mean", "cabinet_charge_min", "answer_median_ms"}


def test_every_metric_is_a_gauge_of_this_moment(service: Service, yandex: FakeYandex) -> None:
    service.add_cabinet(charges=[98])
    service.poll()
    assert {(metric["type"], metric["ts"]) for metric in yandex.metrics} == {("DGAUGE", None)}


def test_without_a_folder_nothing_is_written(
    yandex: FakeYandex, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, monkeypatch) as service:
        service.pool.close()
        service.pool = pool_with(yandex)
        assert service.poll()["asked"]
        service.pool.close()
    assert yandex.metrics == []


def test_without_a_token_nothing_is_written(
    yandex: FakeYandex, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(database_url, monkeypatch, MONITORING_FOLDER_ID=FOLDER) as service:
        assert service.poll()["asked"]
    assert yandex.metrics == []


def test_of_cabinets_and_contractors_no_more_than_a_label_may_have(
    service: Service, yandex: FakeYandex
) -> None:
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


def test_more_metrics_than_a_write_takes_are_several_writes(yandex: FakeYandex) -> None:
    metrics = [Metric("m", n, {"n": str(n)}) for n in range(10_001)]
    assert monitoring.write(metrics, folder_id=FOLDER, token=yandex.token())
    assert len(yandex.metrics) == 10_001


def test_no_metrics_are_no_write(yandex: FakeYandex) -> None:
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
    [told] = [line for line in lines if line["message"] == "metrics were not written"]
    assert told["level"] == "ERROR"
    assert told["status"] == (failure if isinstance(failure, int) else None)
    assert yandex.token() not in json.dumps(lines)
    service.poll()
    assert yandex.metrics


def test_a_token_that_has_ended_is_no_reason_to_fail(service: Service, yandex: FakeYandex) -> None:
    yandex.revoke_tokens()
    assert service.poll()["asked"]
    assert yandex.metrics == []
