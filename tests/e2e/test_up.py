"""`python -m local up`: what it prints and serves, other settings, and how it stops."""

import json
import re
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.postgres import Postgres
from tests.support import database
from tests.support.command_line import held_locks, local, run
from tests.support.database import fast_directory
from tests.support.local_cloud import SECONDS_TO_STOP, Cabinet, LocalCloud, running, starting
from tests.support.waiting import wait_until

LEVELS = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
SECRETS = ["local-operator:", "Bearer", "local-service", "local-bridge", "local-device"]


@pytest.fixture
def directory() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


def fetch(stack: LocalCloud, path: str) -> tuple[int, str, bytes]:
    """Return the status, media type and body of a page."""
    with closing(HTTPConnection(urlsplit(stack.url).netloc, timeout=20)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read()


# --- While it runs ------------------------------------------------------------------------------


def test_up_prints_a_table_and_then_ready(stack: LocalCloud) -> None:
    lines = stack.stdout.splitlines()
    ready = lines.index(f"ready: {stack.url}")
    names = [line.split()[0] for line in lines[:ready]]
    assert names == [
        "console",
        "API",
        "docs",
        "keys",
        "broker",
        "database",
        "cabinets",
        "log",
        "example",
    ]


def test_the_example_in_the_table_works_unchanged(stack: LocalCloud) -> None:
    example = next(line for line in stack.stdout.splitlines() if line.startswith("example"))
    shell = ["/bin/sh", "-c", example.removeprefix("example").strip() + " --silent --fail"]
    assert len(json.loads(run(shell).stdout)["cabinets"]) > 0


def test_all_addresses_are_written_to_a_file(stack: LocalCloud) -> None:
    assert stack.addresses.keys() == {
        *("http_url", "mqtt_host", "mqtt_port", "mqtt_service_port", "registry_id"),
        *("database_url", "control_url", "pid"),
    }
    assert stack.addresses["pid"] == stack.process.pid
    assert stack.sql("SELECT 1 AS answer") == [{"answer": 1}]
    with socket.create_connection((stack.addresses["mqtt_host"], stack.addresses["mqtt_port"])):
        pass


def test_the_documentation_loads_nothing_from_other_hosts(stack: LocalCloud) -> None:
    status, kind, page = fetch(stack, "/docs")
    assert (status, kind) == (200, "text/html")
    assert b"//" not in page.replace(b"<!DOCTYPE html>", b"")
    loaded = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', page.decode())
    assert len(loaded) == 4
    assert {fetch(stack, path)[0] for path in loaded} == {200}
    document = json.loads(fetch(stack, "/docs/openapi.json")[2])
    assert document["servers"] == [{"url": "/"}]
    assert "/v1/bookings" in document["paths"]


def test_every_request_is_printed_as_one_line(stack: LocalCloud) -> None:
    stack.backend.call("GET", "/v1/accumulators/no-such-accumulator")
    wait_until(lambda: "no-such-accumulator" in stack.stdout)
    line = next(line for line in stack.stdout.splitlines() if "no-such-accumulator" in line)
    assert re.fullmatch(r"[\d:]{8} 404 +[\d.]+ ms  GET /v1/accumulators/no-such-accumulator", line)


def test_the_log_is_json_lines_without_secrets(cabinet: Cabinet) -> None:
    cabinet.act("say", text="malformed")
    wait_until(cabinet.anomalies)
    assert cabinet.unlock(cabinet.book()).status == 200
    assert cabinet.stack.backend.call("GET", "/v1/nothing").status == 404
    log = cabinet.stack.log
    assert {"migrated", "command sent", "anomaly"} <= {line["message"] for line in log}
    assert {line["level"] for line in log} <= LEVELS
    text = json.dumps(log)
    assert [secret for secret in SECRETS if secret in text] == []


def test_a_cabinet_can_be_acted_on_from_the_command_line(cabinet: Cabinet) -> None:
    where = ["cabinet", "--data-dir", str(cabinet.stack.data_dir), cabinet.cabinet_id]
    done = local(*where, "pry", "1")
    assert (done.returncode, done.stdout) == (
        0,
        f"cell 1 of {cabinet.cabinet_id} was forced open\n",
    )
    wait_until(lambda: cabinet.cell(1)["door"] == "open")
    assert re.search(r"^1 +open", local(*where).stdout, re.MULTILINE)
    refused = local(*where, "take", "99")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_server_can_be_stopped_from_the_command_line(stoppable: LocalCloud) -> None:
    server = ["server", "--data-dir", str(stoppable.data_dir)]
    assert local(*server, "database", "stop").returncode == 0
    assert stoppable.backend.call("GET", "/v1/health/ready").status == 503
    assert re.search(r"^database +down$", local(*server).stdout, re.MULTILINE)
    assert local(*server, "database", "start").returncode == 0
    wait_until(lambda: stoppable.backend.call("GET", "/v1/health/ready").status == 200)
    unknown = local(*server, "kettle", "start")
    assert (unknown.returncode, "there are: database, broker" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("command", ["", "up", "demo", "cabinet", "server", "documents"])
def test_every_command_has_help(command: str) -> None:
    done = local(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    options = re.findall(r"^  (--?\w[\w-]*)(?:[ ,].*)?$", done.stdout, re.MULTILINE)
    assert "-h" in options
    assert "docs/settings.md" in done.stdout or command != "up"


# --- Other settings -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(postgres: Postgres, template: str) -> Iterator[LocalCloud]:
    """A small cloud on an existing database, with an API key of its own."""
    digest = sha256(b"secret").hexdigest()
    with database.cloned(postgres, template) as url:
        settings = {"DATABASE_URL": url, "API_KEYS": f"mine:read:{digest}"}
        with running("--cabinets", "3", "--cells", "3", settings=settings) as stack:
            yield stack


def test_a_database_named_in_the_environment_is_used(other: LocalCloud) -> None:
    rows = other.sql("SELECT cabinet_id FROM cabinets ORDER BY 1")
    assert [row["cabinet_id"] for row in rows] == ["C-001", "C-002", "C-003"]
    assert not (other.data_dir / "postgres").exists()
    assert list(other.control.servers()) == ["broker"]


def test_the_number_of_cabinets_and_cells_can_be_chosen(other: LocalCloud) -> None:
    cabinets = other.backend.get("/v1/cabinets")["cabinets"]
    assert [(one["online"], one["cells_total"]) for one in cabinets] == [(True, 3)] * 3


def test_api_keys_in_the_environment_are_valid_in_addition_to_the_local_ones(
    other: LocalCloud,
) -> None:
    own = {"Authorization": "Bearer secret"}
    assert other.backend.call("GET", "/v1/cabinets", None, **own).status == 200
    assert other.backend.call("POST", "/v1/swaps", {}, **own).status == 403
    assert other.operator.call("GET", "/v1/cabinets").status == 200


# --- Stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_stops_all_processes_even_while_an_unlock_waits(number: signal.Signals) -> None:
    with running("--cabinets", "1", settings={}) as stack, ThreadPoolExecutor() as threads:
        cabinet = stack.cabinet()
        booking = cabinet.book()
        cabinet.answer("held")
        unlocking = threads.submit(cabinet.unlock, booking)
        wait_until(lambda: cabinet.openings() == 1)
        assert stack.stop(number) == 0
        assert "\nstopping\n" in stack.stdout
        assert not (stack.data_dir / "stack.json").exists()
        with suppress(OSError):
            assert unlocking.result().status == 503


def test_a_signal_stops_all_processes_even_during_the_start(directory: Path) -> None:
    with starting(directory) as stack:
        wait_until((stack.data_dir / "postgres" / "postgres.lock").exists)
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(SECONDS_TO_STOP) == 130
        assert stack.stderr == ""
        # A server that is being forked is not known yet; it dies with its parent.
        wait_until(lambda: not held_locks(stack.data_dir))


def test_all_state_survives_a_kill(directory: Path) -> None:
    with starting(directory, "--cabinets", "2") as stack:
        stack.wait_ready()
        cabinet = stack.cabinet()
        booking, other = cabinet.book(2), cabinet.book(1)
        unlocked = cabinet.unlock(booking).body
        cabinet.act("take", cell=unlocked["cells"][0]["cell_number"], by=cabinet.technician)
        cabinet.catch_up()
        truth, bag = stack.control.cabinet(cabinet.cabinet_id), cabinet.bag()
        # As if the kill had interrupted a migration.
        stack.sql("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)")
        stack.kill()
    with starting(directory, "--cabinets", "2") as stack:
        stack.wait_ready()
        again = Cabinet(stack, cabinet.cabinet_id, cabinet.technician)
        now = stack.control.cabinet(cabinet.cabinet_id)
        assert (now["cells"], now["bags"]) == (truth["cells"], truth["bags"])
        assert (again.bag(), again.booking(other)) == (bag, other)
        assert again.unlock(booking).body == unlocked
        assert stack.operator.get("/v1/stats")["audit"]["ok"]
        assert again.unlock(other).status == 200
        assert stack.stop() == 0
