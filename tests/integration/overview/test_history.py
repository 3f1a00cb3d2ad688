"""GET /v1/history: samples of the stock, and unlocks."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.services.overview import step_of
from tests.integration.api_calls import unlock_without_booking
from tests.support.service import Service


def history(service: Service, query: str = "") -> Any:
    return service.get(f"/v1/history{query}")


def samples(service: Service) -> list[dict[str, Any]]:
    return service.sql("SELECT ready, free, online, active FROM stock_samples ORDER BY at")


def test_a_new_service_has_no_history(service: Service) -> None:
    assert history(service) == {"step_s": 300, "stock": [], "unlocks": []}


@pytest.mark.parametrize("hours", range(1, 169))
def test_a_period_has_at_most_300_steps(hours: int) -> None:
    step_s = step_of(hours)
    assert hours * 3600 / step_s + 1 <= 300
    assert 3600 % step_s == 0


@pytest.mark.parametrize(("hours", "step_s"), [(1, 60), (4, 60), (24, 300), (168, 3600)])
def test_the_step_is_as_short_as_the_period_allows(
    service: Service, hours: int, step_s: int
) -> None:
    assert history(service, f"?hours={hours}")["step_s"] == step_s


@pytest.mark.parametrize("hours", ["0", "169", "-1", "x", "1.5", ""])
def test_a_period_is_from_1_to_168_hours(service: Service, hours: str) -> None:
    assert service.call("GET", f"/v1/history?hours={hours}").status == 400


# --- the stock --------------------------------------------------------------------------------


def test_the_poll_samples_the_stock_of_active_cabinets(service: Service) -> None:
    service.add_cabinet("C-1", charges=[98, 41])
    service.add_cabinet("C-2", charges=[98], cells=2)
    service.connect("C-3")
    service.add_cabinet("C-4", charges=[98])
    service.patch("/v1/cabinets/C-4", {"status": "inactive", "status_reason": "x"})
    del service.cabinets["C-3"]
    service.poll()
    assert samples(service) == [{"ready": 2, "free": 5, "online": 2, "active": 3}]
    [point] = history(service)["stock"]
    assert {name: point[name] for name in ("ready", "free", "online", "active")} == {
        "ready": 2,
        "free": 5,
        "online": 2,
        "active": 3,
    }


def test_an_empty_fleet_is_sampled_too(service: Service) -> None:
    service.poll()
    assert samples(service) == [{"ready": 0, "free": 0, "online": 0, "active": 0}]


def test_a_minute_has_one_sample_however_many_polls_run(service: Service) -> None:
    service.add_cabinet(charges=[98])
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: service.poll(), range(8)))
    [minutes] = service.sql("SELECT count(DISTINCT at) AS of, count(*) AS n FROM stock_samples")
    assert minutes["of"] == minutes["n"] <= 2  # the minute may have changed meanwhile


def test_a_step_shows_its_last_sample(service: Service) -> None:
    service.sql(
        "INSERT INTO stock_samples (at, ready, free, online, active)"
        " SELECT date_trunc('hour', now()) - make_interval(mins => m), m, 0, 0, 0"
        " FROM unnest('{1, 2, 5, 6, 14}'::int[]) m"
    )
    stock = history(service, "?hours=24")["stock"]
    assert [point["ready"] for point in stock] == [14, 6, 1]
    assert [point["at"][14:19] for point in stock] == ["45:00", "50:00", "55:00"]


def test_samples_outside_the_period_and_of_the_future_are_left_out(service: Service) -> None:
    service.sql(
        "INSERT INTO stock_samples (at, ready, free, online, active)"
        " SELECT date_trunc('minute', now()) + make_interval(mins => m), 7, 0, 0, 0"
        " FROM unnest('{5, -62, -30}'::int[]) m"
    )
    assert len(history(service, "?hours=1")["stock"]) == 1
    assert len(history(service, "?hours=2")["stock"]) == 2


def test_the_poll_removes_samples_older_than_31_days(service: Service) -> None:
    service.sql(
        "INSERT INTO stock_samples (at, ready, free, online, active)"
        " SELECT date_trunc('minute', now()) - make_interval(days => d), d, 0, 0, 0"
        " FROM unnest('{30, 31, 400}'::int[]) d"
    )
    service.sql("UPDATE stock_samples SET at = at - interval '1 minute' WHERE ready = 31")
    service.poll()
    assert [row["ready"] for row in samples(service)] == [30, 0]


def test_a_sample_that_fails_does_not_stop_the_poll(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.add_cabinet(charges=[98])
    service.book(1)
    service.advance_time(1801)
    service.queue.down = True
    service.sql("ALTER TABLE stock_samples RENAME TO gone")
    result = service.poll()
    assert (result["asked"], result["cabinets_with_expiry"]) == (False, 1)
    assert "the stock was not sampled" in capsys.readouterr().out


# --- unlocks ----------------------------------------------------------------------------------


def test_unlocks_are_counted_with_the_cabinets_response_times(service: Service) -> None:
    service.add_cabinet(charges=[98, 97, 96, 95])
    for number in (1, 2, 3):
        unlock_without_booking(service, cells=[number])
    service.sql("UPDATE commands SET created_at = '2020-01-01' WHERE kind <> 'unlock'")
    now = datetime.now(UTC)
    service.sql(
        "UPDATE commands c SET created_at = %(now)s, published_at = %(now)s,"
        " finished_at = %(now)s + make_interval(secs => n / 10.0)"
        " FROM (SELECT command_id, row_number() OVER () AS n FROM commands) t"
        " WHERE t.command_id = c.command_id",
        now=now,
    )
    [point] = history(service, "?hours=1")["unlocks"]
    assert (point["count"], point["failed"]) == (3, 0)
    assert point["p50_ms"] == pytest.approx(200)
    assert point["p99_ms"] == pytest.approx(298)
    assert point["at"][:17] == now.isoformat()[:17]


@pytest.mark.parametrize(
    ("status", "failed"),
    [
        ("pending", 0),
        ("published", 0),
        ("succeeded", 0),
        ("partially_succeeded", 0),
        ("failed", 1),
        ("rejected", 1),
        ("not_published", 1),
        ("no_answer", 1),
        ("not_executed", 1),
        ("unresolved", 1),
    ],
)
def test_an_unlock_has_failed_if_it_ended_without_an_open_cell(
    service: Service, status: str, failed: int
) -> None:
    add_command(service, status)
    [point] = history(service)["unlocks"]
    assert (point["count"], point["failed"]) == (1, failed)


def test_an_unlock_past_its_deadline_has_failed_before_that_is_written(service: Service) -> None:
    add_command(service, "published")
    service.advance_time(61)
    [point] = history(service)["unlocks"]
    assert (point["count"], point["failed"]) == (1, 1)


def test_other_commands_and_polls_are_no_unlocks(service: Service) -> None:
    service.add_cabinet()
    body = {"kind": "report_state", "reason": "x"}
    service.call("POST", "/v1/cabinets/C-1/commands", body, key="operator")
    service.poll()
    assert history(service)["unlocks"] == []


def add_command(service: Service, status: str) -> None:
    service.connect("C-1")
    service.sql(
        "SET LOCAL tests.state_guard = off;"
        " INSERT INTO commands (command_id, cabinet_id, kind, payload, requested_by, deadline,"
        " status) VALUES (gen_random_uuid(), 'C-1', 'unlock', '{}', 'x',"
        " now() + interval '1 minute', %(status)s)",
        status=status,
    )
