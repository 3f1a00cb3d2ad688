"""A database that is cut off, stopped, read-only, locked or slow."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg2
import pytest

from local.functions import FunctionFailed
from local.postgres import Postgres
from shared import db
from tests import database
from tests.integration.test_authorization import CLOSED, request
from tests.service import Answer, Service, running
from tests.waiting import wait_until


def is_unavailable(answer: Answer) -> bool:
    return (
        answer.status == 503
        and answer.body["code"] == "database_unavailable"
        and int(answer.headers["Retry-After"]) > 0
    )


def cut_connections(service: Service) -> None:
    service.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


# --- cut off ----------------------------------------------------------------------------------


def test_a_connection_that_was_cut_between_requests_is_not_noticed(service: Service) -> None:
    service.add_cabinet(charges=[98])
    for _ in range(3):
        cut_connections(service)
        assert service.call("GET", "/v1/cabinets").status == 200
        service.report()
        assert service.poll()["asked"]
    booking = service.book(1)
    cut_connections(service)
    assert service.unlock(booking).status == 200


def test_a_connection_that_is_cut_while_an_unlock_waits_loses_nothing(service: Service) -> None:
    service.add_cabinet(charges=[98])
    booking = service.book(1)
    service.hold_messages = True
    with ThreadPoolExecutor(1) as other:
        first = other.submit(service.unlock, booking)
        wait_until(lambda: service.waiting)
        cut_connections(service)
        answer = first.result()
    assert is_unavailable(answer) or answer.status == 504
    service.hold_messages = False
    service.deliver_waiting()
    assert service.unlock(booking).status == 200
    assert len(service.queue.commands("unlock")) == 1
    assert service.causes("C-1.A-1").count("issued") == 1
    service.check_invariants()


# --- stopped ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server of this file's own, which may be stopped."""
    with database.fast_directory() as directory, Postgres(directory, durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def own_template(own_postgres: Postgres) -> str:
    return database.make_template(own_postgres)


@pytest.fixture
def stoppable(
    own_postgres: Postgres, own_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service on the server that may be stopped; it runs again afterwards."""
    with database.cloned(own_postgres, own_template) as url:
        try:
            with running(url, monkeypatch) as service:
                yield service
        finally:
            own_postgres.start()


def test_while_the_database_is_stopped_every_route_says_so(
    stoppable: Service, own_postgres: Postgres
) -> None:
    stoppable.add_cabinet(charges=[98])
    own_postgres.stop()
    for name, route in CLOSED.items():
        assert is_unavailable(request(stoppable, route, "operator")), name


def test_an_answer_never_says_where_the_database_is(
    stoppable: Service, own_postgres: Postgres
) -> None:
    own_postgres.stop()
    answer = stoppable.call("GET", "/v1/stats")
    told = json.dumps(answer.body).lower()
    for secret in ("127.0.0.1", "port", "psycopg", "connection", "postgres"):
        assert secret not in told


def test_what_cabinets_say_is_not_lost_while_the_database_is_stopped(
    stoppable: Service, own_postgres: Postgres
) -> None:
    hardware = stoppable.add_cabinet(charges=[98])
    hardware.cells[1].door = "open"
    report = hardware.state_report()
    own_postgres.stop()
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        stoppable.deliver(("C-1", report))
    own_postgres.start()
    stoppable.deliver(("C-1", report))  # the platform delivers it again
    assert stoppable.cell(1)["door"] == "open"


def test_the_poll_fails_while_the_database_is_stopped(
    stoppable: Service, own_postgres: Postgres
) -> None:
    own_postgres.stop()
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        stoppable.poll()
    assert stoppable.queue.published == []


@pytest.mark.parametrize("end", [Postgres.stop, Postgres.kill], ids=["stopped", "killed"])
def test_when_the_database_is_back_everything_goes_on(
    stoppable: Service, own_postgres: Postgres, end: Callable[[Postgres], None]
) -> None:
    stoppable.add_cabinet(charges=[98, 95])
    booking = stoppable.book(1)
    end(own_postgres)
    assert is_unavailable(stoppable.unlock(booking))
    assert stoppable.queue.published == []
    own_postgres.start()
    assert stoppable.unlock(booking).status == 200
    assert stoppable.poll()["asked"]
    stoppable.book(1)
    stoppable.check_invariants()


def test_health_tells_that_the_database_is_stopped(
    stoppable: Service, own_postgres: Postgres
) -> None:
    own_postgres.stop()
    answer = stoppable.call("GET", "/v1/health", key=None)
    assert (answer.status, answer.body["database"]) == (503, "unavailable")
    own_postgres.start()
    assert stoppable.call("GET", "/v1/health", key=None).body["database"] == "ok"


def test_a_key_of_a_request_that_the_database_failed_is_free(
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
    """A database that has failed over: it answers, but takes nothing."""
    service.add_cabinet(charges=[98])
    [name] = service.sql("SELECT current_database() AS name")
    service.sql(f'ALTER DATABASE "{name["name"]}" SET default_transaction_read_only = on')
    cut_connections(service)
    return service


def test_a_read_only_database_is_read_and_not_written(read_only: Service) -> None:
    assert read_only.call("GET", "/v1/cabinets/C-1").status == 200
    body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "return", "count": 1}
    assert is_unavailable(read_only.call("POST", "/v1/bookings", body))
    assert is_unavailable(
        read_only.call("PATCH", "/v1/cabinets/C-1", {"address": "x"}, key="operator")
    )


def test_messages_for_a_read_only_database_are_delivered_again(read_only: Service) -> None:
    with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
        read_only.report()


def test_a_database_that_can_be_written_again_is_written(read_only: Service) -> None:
    with pytest.raises(FunctionFailed):
        read_only.report()
    read_only.sql(
        "SET TRANSACTION READ WRITE;"
        f' ALTER DATABASE "{read_only.url.rsplit("/", 1)[1]}" RESET default_transaction_read_only'
    )
    read_only.report()
    assert read_only.book(1)["status"] == "active"


@pytest.fixture
def impatient(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """The service, waiting a tenth of a second where it would wait ten."""
    for opening in ("_LIMITS", "_BEGIN"):
        short = getattr(db, opening).replace("0s'", "00ms'")
        assert "'100ms'" in short
        monkeypatch.setattr(db, opening, short)
    service.add_cabinet(charges=[98])
    return service


def test_a_lock_that_is_not_to_be_had_is_no_hung_function(impatient: Service) -> None:
    with closing(psycopg2.connect(impatient.url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT FROM cabinets FOR UPDATE")
        body = {"cabinet_id": "C-1", "contractor_id": "T-1", "kind": "issue", "count": 1}
        assert is_unavailable(impatient.call("POST", "/v1/bookings", body))
        with pytest.raises(FunctionFailed, match="DatabaseUnavailable"):
            impatient.report()
        assert impatient.call("GET", "/v1/cabinets/C-1").status == 200
    assert impatient.book(1)["status"] == "active"
    impatient.check_invariants()


def test_a_statement_that_does_not_end_is_ended(
    impatient: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_LIMITS", "SET LOCAL statement_timeout = '100ms'; ")
    with closing(psycopg2.connect(impatient.url)) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE cabinets")
        assert is_unavailable(impatient.call("GET", "/v1/cabinets"))
    assert impatient.call("GET", "/v1/cabinets").status == 200


def test_a_fault_of_ours_says_nothing_but_its_id_and_is_in_the_log(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.sql("DROP TABLE anomalies")
    answer = service.call("GET", "/v1/stats")
    assert (answer.status, answer.body["code"]) == (500, "internal")
    assert "anomalies" not in json.dumps(answer.body)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [told] = [line for line in lines if line["level"] == "ERROR"]
    assert told["request_id"] == answer.body["request_id"]
    assert 'relation "anomalies" does not exist' in told["exception"]


def test_after_a_fault_the_instance_serves_the_next_request(service: Service) -> None:
    service.sql("ALTER TABLE anomalies RENAME TO elsewhere")
    assert service.call("GET", "/v1/stats").status == 500
    service.sql("ALTER TABLE elsewhere RENAME TO anomalies")
    service.check_invariants()
