"""A database that is disconnected, stopped, read-only, locked or slow."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from local.functions import FunctionFailed
from local.postgres import Postgres
from shared import db
from tests.support import database
from tests.support.routes import PROTECTED_ROUTES, send_example
from tests.support.service import Response, Service, running
from tests.support.waiting import wait_until


def is_unavailable(response: Response) -> bool:
    return (
        response.status == 503
        and response.body.get("code") == "database_unavailable"
        and int(response.headers["Retry-After"]) > 0
    )


def cut_connections(service: Service) -> None:
    service.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


# --- connections cut --------------------------------------------------------------------------


def test_a_connection_cut_between_requests_causes_no_error(service: Service) -> None:
    service.add_cabinet(charges=[98])
    for _ in range(3):
        cut_connections(service)
        assert service.call("GET", "/v1/cabinets").status == 200
        service.report()
        assert service.poll()["asked"]
    booking = service.book(1)
    cut_connections(service)
    assert service.unlock(booking).status == 200


def test_a_connection_cut_while_an_unlock_waits_loses_no_effect(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.hold_messages = True
    with ThreadPoolExecutor(1) as other:
        first = other.submit(service.unlock, booking)
        wait_until(lambda: service.held_messages)
        cut_connections(service)
        response = first.result()
    assert is_unavailable(response) or response.status == 504
    service.hold_messages = False
    service.deliver_held_messages()
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1
    assert service.movement_causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


# --- stopped ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server of this file's own, which tests stop."""
    with database.fast_directory() as directory, database.server(directory) as server:
        yield server


@pytest.fixture(scope="module")
def own_template(own_postgres: Postgres) -> str:
    return database.make_template(own_postgres)


@pytest.fixture
def stoppable(
    own_postgres: Postgres, own_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service on the file's own server, which is started again after the test."""
    with database.cloned(own_postgres, own_template) as url:
        try:
            with running(url, monkeypatch) as service:
                yield service
        finally:
            own_postgres.start()


# The address of the webhook's example does not exist, which is noticed before.
# Readiness is 503, too, but no problem: it says what is unavailable.
NEEDS_NO_DATABASE = {"GET /v1/me", "POST /v1/webhooks", "GET /v1/health/ready"}


def test_every_route_that_needs_the_database_is_503_while_it_is_stopped(
    stoppable: Service, own_postgres: Postgres
) -> None:
    stoppable.add_cabinet(charges=[98])
    own_postgres.stop()
    available = {
        name
        for name, route in PROTECTED_ROUTES.items()
        if not is_unavailable(send_example(stoppable, route, "operator"))
    }
    assert available == NEEDS_NO_DATABASE


def test_an_error_response_does_not_reveal_the_database(
    stoppable: Service, own_postgres: Postgres
) -> None:
    own_postgres.stop()
    response = stoppable.call("GET", "/v1/stats")
    text = json.dumps(response.body).lower()
    for secret in ("127.0.0.1", "port", "psycopg", "connection", "postgres"):
        assert secret not in text


def test_messages_during_a_database_outage_are_redelivered(
    stoppable: Service, own_postgres: Postgres
) -> None:
    hardware = stoppable.add_cabinet(charges=[98])
    hardware.cells[1].door = "open"
    report = hardware.state_report()
    own_postgres.stop()
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        stoppable.deliver(("C-1", report))
    own_postgres.start()
    stoppable.deliver(("C-1", report))  # the bridge redelivers it
    assert stoppable.cell(1)["door"] == "open"


def test_the_poll_fails_while_the_database_is_stopped(
    stoppable: Service, own_postgres: Postgres
) -> None:
    own_postgres.stop()
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        stoppable.poll()
    assert stoppable.queue.published == []


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill], ids=["stopped", "killed"])
def test_the_service_recovers_when_the_database_restarts(
    stoppable: Service, own_postgres: Postgres, end: Callable[[Postgres], None]
) -> None:
    stoppable.add_cabinet(charges=[98, 95])
    booking = stoppable.book(1)
    end(own_postgres)
    # After a kill, a backend may serve its connection until it notices.
    wait_until(lambda: is_unavailable(stoppable.call("GET", "/v1/stats")))
    assert is_unavailable(stoppable.unlock(booking))
    assert stoppable.queue.published == []
    own_postgres.start()
    assert stoppable.unlock(booking).status == 200
    assert stoppable.poll()["asked"]
    stoppable.book(1)
    stoppable.check_invariants()


def test_readiness_reports_a_stopped_database(stoppable: Service, own_postgres: Postgres) -> None:
    own_postgres.stop()
    response = stoppable.call("GET", "/v1/health/ready")
    assert (response.status, response.body["database"]) == (503, "unavailable")
    own_postgres.start()
    assert stoppable.call("GET", "/v1/health/ready").body["database"] == "ok"


def test_an_idempotency_key_is_free_after_a_database_outage(
    stoppable: Service, own_postgres: Postgres
) -> None:
    stoppable.add_cabinet(charges=[98])
    body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
    headers = {"Idempotency-Key": "k-1"}
    own_postgres.stop()
    assert is_unavailable(stoppable.call("POST", "/v1/bookings", body, headers=headers))
    own_postgres.start()
    assert stoppable.call("POST", "/v1/bookings", body, headers=headers).status == 201


# --- read-only, locked, slow, broken ----------------------------------------------------------


@pytest.fixture
def read_only(service: Service) -> Service:
    """The service on a database that refuses writes, as after a failover."""
    service.add_cabinet(charges=[98])
    [name] = service.sql("SELECT current_database() AS name")
    service.sql(f'ALTER DATABASE "{name["name"]}" SET default_transaction_read_only = on')
    cut_connections(service)
    return service


def test_a_read_only_database_serves_reads_and_refuses_writes(read_only: Service) -> None:
    assert read_only.call("GET", "/v1/cabinets/C-1").status == 200
    body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "return", "count": 1}
    assert is_unavailable(read_only.call("POST", "/v1/bookings", body))
    assert is_unavailable(
        read_only.call("PATCH", "/v1/cabinets/C-1", {"address": "x"}, key="operator")
    )


def test_messages_for_a_read_only_database_are_redelivered(read_only: Service) -> None:
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        read_only.report()


def test_writes_resume_when_the_database_is_writable_again(read_only: Service) -> None:
    with pytest.raises(FunctionFailed):
        read_only.report()
    read_only.sql(
        "SET TRANSACTION READ WRITE;"
        f' ALTER DATABASE "{read_only.url.rsplit("/", 1)[1]}" RESET default_transaction_read_only'
    )
    cut_connections(read_only)  # a pooler keeps read-only sessions
    read_only.report()
    assert read_only.book(1)["status"] == "active"


@pytest.fixture
def with_short_time_outs(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service with a lock time-out of 0.1 s and a statement time-out of 0.2 s."""
    for opening in ("_LIMITS", "_BEGIN"):
        short = getattr(db, opening).replace("0s'", "00ms'")
        assert "'100ms'" in short
        monkeypatch.setattr(db, opening, short)
    service.add_cabinet(charges=[98])
    return service


def test_a_held_row_lock_is_503_after_the_lock_time_out(with_short_time_outs: Service) -> None:
    with closing(psycopg2.connect(with_short_time_outs.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM cabinets FOR UPDATE")
        body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
        assert is_unavailable(with_short_time_outs.call("POST", "/v1/bookings", body))
        with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
            with_short_time_outs.report()
        assert with_short_time_outs.call("GET", "/v1/cabinets/C-1").status == 200
    assert with_short_time_outs.book(1)["status"] == "active"
    with_short_time_outs.check_invariants()


def test_a_statement_is_cancelled_at_its_time_limit(
    with_short_time_outs: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_LIMITS", "SET LOCAL statement_timeout = '100ms'; ")
    with closing(psycopg2.connect(with_short_time_outs.url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE cabinets")
        assert is_unavailable(with_short_time_outs.call("GET", "/v1/cabinets"))
    assert with_short_time_outs.call("GET", "/v1/cabinets").status == 200


def test_an_internal_error_returns_only_its_id_and_is_logged(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.sql("DROP TABLE anomalies")
    response = service.call("GET", "/v1/stats")
    assert (response.status, response.body["code"]) == (500, "internal")
    assert "anomalies" not in json.dumps(response.body)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [error] = [line for line in lines if line["level"] == "ERROR"]
    assert error["request_id"] == response.body["request_id"]
    assert 'relation "anomalies" does not exist' in error["exception"]


def test_an_instance_serves_the_next_request_after_an_internal_error(service: Service) -> None:
    service.sql("ALTER TABLE anomalies RENAME TO elsewhere")
    assert service.call("GET", "/v1/stats").status == 500
    service.sql("ALTER TABLE elsewhere RENAME TO anomalies")
    service.check_invariants()
