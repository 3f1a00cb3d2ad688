"""`python -m local up`: starts, tells where everything is, stops, and says why it cannot."""

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
from tests import database
from tests.database import fast_directory
from tests.e2e.command_line import finish, held_locks, local
from tests.e2e.running import SECONDS_TO_STOP, Cabinet, Running, running, starting
from tests.waiting import wait_until

LEVELS = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}
SECRETS = ["local-operator:", "Bearer", "local-service", "local-bridge", "local-device"]


@pytest.fixture
def directory() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


def fetch(stack: Running, path: str) -> tuple[int, str, bytes]:
    """Status, media type and body of a page."""
    with closing(HTTPConnection(urlsplit(stack.url).netloc, timeout=5)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read()


# --- What a running one shows -------------------------------------------------------------------


def test_it_prints_a_table_and_then_that_it_is_ready(stack: Running) -> None:
    lines = stack.screen.splitlines()
    ready = lines.index(f"ready: {stack.url}")
    names = [line.split()[0] for line in lines[:ready]]
    assert names == ["API", "keys", "broker", "database", "cabinets", "log", "example"]


def test_the_example_in_the_table_works_as_it_is(stack: Running) -> None:
    example = next(line for line in stack.screen.splitlines() if line.startswith("example"))
    shell = ["/bin/sh", "-c", example.removeprefix("example").strip() + " --silent --fail"]
    assert len(json.loads(finish(shell).stdout)["cabinets"]) > 0


def test_all_addresses_are_in_a_file(stack: Running) -> None:
    assert stack.addresses.keys() == {
        *("http_url", "mqtt_host", "mqtt_port", "database_url", "control_url", "pid")
    }
    assert stack.addresses["pid"] == stack.process.pid
    assert stack.sql("SELECT 1 AS answer") == [{"answer": 1}]
    with socket.create_connection((stack.addresses["mqtt_host"], stack.addresses["mqtt_port"])):
        pass


def test_the_documentation_needs_nothing_from_elsewhere(stack: Running) -> None:
    status, kind, page = fetch(stack, "/docs")
    assert (status, kind) == (200, "text/html")
    assert b"//" not in page.replace(b"<!DOCTYPE html>", b"")
    loaded = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', page.decode())
    assert len(loaded) == 4
    assert {fetch(stack, path)[0] for path in loaded} == {200}
    document = json.loads(fetch(stack, "/docs/openapi.json")[2])
    assert document["servers"] == [{"url": "/"}]
    assert "/v1/bookings" in document["paths"]


def test_every_request_is_one_line_on_the_screen(stack: Running) -> None:
    stack.backend.call("GET", "/v1/accumulators/no-such-one")
    wait_until(lambda: "no-such-one" in stack.screen)
    line = next(line for line in stack.screen.splitlines() if "no-such-one" in line)
    assert re.fullmatch(r"[\d:]{8} 404 +[\d.]+ ms  GET /v1/accumulators/no-such-one", line)


def test_the_log_is_json_lines_without_secrets(cabinet: Cabinet) -> None:
    cabinet.act("say", text="nonsense")
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
    did = local(*where, "pry", "1")
    assert (did.returncode, did.stdout) == (0, f"cell 1 of {cabinet.cabinet_id} is broken open\n")
    wait_until(lambda: cabinet.cell(1)["door"] == "open")
    assert re.search(r"^1 +open", local(*where).stdout, re.MULTILINE)
    refused = local(*where, "take", "99")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_server_can_be_put_down_from_the_command_line(fragile: Running) -> None:
    server = ["server", "--data-dir", str(fragile.data_dir)]
    assert local(*server, "database", "stop").returncode == 0
    assert fragile.backend.call("GET", "/v1/health").status == 503
    assert re.search(r"^database +down$", local(*server).stdout, re.MULTILINE)
    assert local(*server, "database", "start").returncode == 0
    wait_until(lambda: fragile.backend.call("GET", "/v1/health").status == 200)
    unknown = local(*server, "kettle", "start")
    assert (unknown.returncode, "there are: database, broker" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("command", ["", "up", "demo", "cabinet", "server", "documents"])
def test_every_command_explains_itself(command: str) -> None:
    told = local(*command.split(), "--help")
    assert (told.returncode, told.stderr) == (0, "")
    options = re.findall(r"^  (--?\w[\w-]*)(?:[ ,].*)?$", told.stdout, re.MULTILINE)
    assert "-h" in options
    assert "docs/settings.md" in told.stdout or command != "up"


# --- Starting with something else ---------------------------------------------------------------


@pytest.fixture(scope="module")
def other(postgres: Postgres, template: str) -> Iterator[Running]:
    """A small cloud on another database, with a key of somebody's own."""
    digest = sha256(b"secret").hexdigest()
    with database.cloned(postgres, template) as url:
        settings = {"DATABASE_URL": url, "API_KEYS": f"mine:read:{digest}"}
        with running("--cabinets", "3", "--cells", "3", settings=settings) as stack:
            yield stack


def test_another_database_is_used_if_the_environment_names_one(other: Running) -> None:
    rows = other.sql("SELECT cabinet_id FROM cabinets ORDER BY 1")
    assert [row["cabinet_id"] for row in rows] == ["C-001", "C-002", "C-003"]
    assert not (other.data_dir / "postgres").exists()
    assert list(other.control.servers()) == ["broker"]


def test_there_are_as_many_cabinets_and_cells_as_asked_for(other: Running) -> None:
    cabinets = other.backend.get("/v1/cabinets")["cabinets"]
    assert [(one["online"], one["cells_total"]) for one in cabinets] == [(True, 3)] * 3


def test_keys_in_the_environment_are_valid_beside_the_local_ones(other: Running) -> None:
    own = {"Authorization": "Bearer secret"}
    assert other.backend.call("GET", "/v1/cabinets", None, **own).status == 200
    assert other.backend.call("POST", "/v1/swaps", {}, **own).status == 403
    assert other.operator.call("GET", "/v1/cabinets").status == 200


# --- Stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it_also_while_an_unlock_waits(number: signal.Signals) -> None:
    with running("--cabinets", "1", settings={}) as stack, ThreadPoolExecutor() as threads:
        cabinet = stack.cabinet()
        booking = cabinet.book()
        cabinet.answer("held")
        unlocking = threads.submit(cabinet.unlock, booking)
        wait_until(lambda: cabinet.openings() == 1)
        assert stack.stop(number) == 0
        assert "\nstopping\n" in stack.screen
        assert not (stack.data_dir / "stack.json").exists()
        with suppress(OSError):
            assert unlocking.result().status == 503


def test_a_signal_stops_it_also_while_it_starts(directory: Path) -> None:
    with starting(directory) as stack:
        wait_until((stack.data_dir / "postgres" / "postgres.lock").exists)
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(SECONDS_TO_STOP) == 130
        assert stack.complaints == ""
        # A server that was just being forked is not known yet, and dies with its parent.
        wait_until(lambda: not held_locks(stack.data_dir), seconds=2)


def test_after_a_kill_everything_is_found_as_it_was(directory: Path) -> None:
    with starting(directory, "--cabinets", "2") as stack:
        stack.wait_ready()
        cabinet = stack.cabinet()
        booking, other = cabinet.book(2), cabinet.book(1)
        told = cabinet.unlock(booking).body
        cabinet.act("take", cell=told["cells"][0]["cell_number"], by=cabinet.technician)
        cabinet.catch_up()
        truth, bag = stack.control.cabinet(cabinet.cabinet_id), cabinet.bag()
        stack.sql(
            "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 1)"
        )  # mid-migration
        stack.kill()
    with starting(directory, "--cabinets", "2") as stack:
        stack.wait_ready()
        again = Cabinet(stack, cabinet.cabinet_id, cabinet.technician)
        now = stack.control.cabinet(cabinet.cabinet_id)
        assert (now["cells"], now["bags"]) == (truth["cells"], truth["bags"])
        assert (again.bag(), again.booking(other)) == (bag, other)
        assert again.unlock(booking).body == told
        assert stack.operator.get("/v1/stats")["audit"]["ok"]
        assert again.unlock(other).status == 200
        assert stack.stop() == 0
