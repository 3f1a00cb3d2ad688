"""A local cloud in a child process, and its simulated cabinets."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from local import addresses
from local.api import Api, Response
from local.cabinet.control import Control
from local.stack import API_KEYS
from tests.support.command_line import SHORT_WAITS, environment, held_locks, up
from tests.support.database import fast_directory
from tests.support.openapi_check import check_response
from tests.support.processes import ROOT
from tests.support.waiting import slowdown, wait_until

SECONDS_TO_START = 60
SECONDS_TO_STOP = 5
SHORT_CABINET = 2  # it holds fewer accumulators than the others


class CheckedApi(Api):
    """An API client that checks every response against the OpenAPI document."""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        response = super().call(method, path, body, **headers)
        check_response(method, path, response.status, response.headers, response.raw)
        return response


class LocalCloud:
    """A running `python -m local up`."""

    def __init__(
        self, directory: Path, options: Sequence[str], settings: Mapping[str, str], root: Path
    ) -> None:
        self.data_dir = directory / "data"
        self._stdout = directory / "stdout.txt"
        self._stderr = directory / "stderr.txt"
        self._numbers = count(1)
        with self._stdout.open("w") as stdout, self._stderr.open("w") as stderr:
            self.process = subprocess.Popen(
                up(self.data_dir, *options),
                cwd=root,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C in the test run must not reach it
            )

    def wait_ready(self, *, seconds: float = SECONDS_TO_START) -> None:
        """Wait until it prints `ready`, and read its addresses."""
        try:
            wait_until(self._is_ready, seconds=seconds)
        except TimeoutError:
            raise AssertionError(f"not ready:\n{self.stdout}{self.stderr}") from None
        self.addresses = addresses.read(self.data_dir)
        self.url: str = self.addresses["http_url"]
        self.operator = self.api("operator")
        self.backend = self.api("backend")
        self.control = Control(self.addresses["control_url"])

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def log(self) -> list[dict[str, Any]]:
        text = (self.data_dir / "log.jsonl").read_text()
        whole = text[: text.rfind("\n") + 1]  # the last line may be incomplete
        return [json.loads(line) for line in whole.splitlines()]

    def api(self, scope: str) -> CheckedApi:
        return CheckedApi(self.url, API_KEYS[scope], timeout=20)

    def start_database(self) -> None:
        """Start the database and wait until the service reaches it."""
        self.control.start_server("database")
        wait_until(lambda: self.backend.call("GET", "/v1/health/ready").body["database"] == "ok")

    def cabinet(self) -> "Cabinet":
        """Return a cabinet that no test has used: 6 accumulators to issue, 4 free cells."""
        number = next(n for n in self._numbers if n != SHORT_CABINET)
        return Cabinet(self, f"C-{number:03}", f"T-{number}")

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Run a statement with %(name)s for values; return its rows."""
        with closing(psycopg2.connect(self.addresses["database_url"])) as connection:
            connection.autocommit = True
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit code; fail if a server still runs."""
        self.process.send_signal(number)
        code = self.process.wait(SECONDS_TO_STOP * slowdown())
        assert held_locks(self.data_dir) == []
        return code

    def kill(self) -> None:
        """Kill it with SIGKILL, if it still runs."""
        self.process.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.stderr
        return "\nready: " in self.stdout


@dataclass(frozen=True)
class Cabinet:
    """A simulated cabinet, and a technician who uses only this one."""

    stack: LocalCloud
    cabinet_id: str
    technician: str

    def book(self, count: int = 1, kind: str = "issue") -> Any:
        body = {"cabinet_id": self.cabinet_id, "contractor_id": self.technician}
        return self.stack.backend.post("/v1/bookings", {**body, "kind": kind, "count": count})

    def unlock(self, booking: Any) -> Response:
        """Request the unlock of a booking."""
        return self.stack.backend.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock")

    def booking(self, booking: Any) -> Any:
        return self.stack.backend.get(f"/v1/bookings/{booking['booking_id']}")

    def command(self, command_id: str) -> Any:
        return self.stack.backend.get(f"/v1/commands/{command_id}")

    def send(self, kind: str, **payload: Any) -> Response:
        """Send a command as an operator."""
        body = {"kind": kind, "reason": "a test", **payload}
        path = f"/v1/cabinets/{self.cabinet_id}/commands"
        return self.stack.operator.call("POST", path, body)

    def catch_up(self) -> None:
        """Wait until every message that the cabinet has sent is applied."""
        assert self.send("report_state").status == 200

    def act(self, action: str, **arguments: Any) -> None:
        self.stack.control.act(self.cabinet_id, action, **arguments)

    def answer(self, how: str) -> None:
        """Set how the cabinet replies to commands from now on."""
        self.act("answer", how=how)

    def take(self, *cells: int) -> None:
        """Take the accumulators out of these open cells, and close the doors."""
        for cell in cells:
            self.act("take", cell=cell, by=self.technician)
            self.act("close", cell=cell)

    def openings(self) -> int:
        """Return how often commands have opened a door."""
        cells = self.stack.control.cabinet(self.cabinet_id)["cells"]
        return sum(cell["openings"] for cell in cells)

    def cell(self, number: int) -> Any:
        """Return a cell as the API shows it."""
        return self.stack.backend.get(f"/v1/cabinets/{self.cabinet_id}")["cells"][number - 1]

    def bag(self) -> list[str]:
        """Return the accumulators that the technician carries."""
        path = f"/v1/accumulators?contractor_id={self.technician}"
        return [one["accumulator_id"] for one in self.stack.backend.get(path)["accumulators"]]

    def movement_causes(self, accumulator_id: str) -> list[str]:
        """Return the causes of an accumulator's movements, oldest first."""
        path = f"/v1/accumulators/{accumulator_id}/movements"
        found = self.stack.backend.get(path)["movements"]
        return [movement["cause"] for movement in reversed(found)]

    def anomalies(self) -> list[str]:
        """Return the reasons of this cabinet's anomalies, each as often as it has occurred."""
        rows = self.stack.sql(
            "SELECT reason FROM anomalies, generate_series(1, count) WHERE device_id = %(id)s"
            " ORDER BY anomaly_id",
            id=self.cabinet_id,
        )
        return [row["reason"] for row in rows]


@contextmanager
def running(
    *options: str, settings: Mapping[str, str] = SHORT_WAITS, root: Path = ROOT
) -> Iterator[LocalCloud]:
    """A local cloud that is ready; stopped afterwards, without anything on standard error."""
    with (
        fast_directory() as directory,
        starting(directory, *options, settings=settings, root=root) as stack,
    ):
        stack.wait_ready()
        yield stack
        if stack.process.poll() is None:
            assert stack.stop() == 0
        assert stack.stderr == ""


@contextmanager
def starting(
    directory: Path, *options: str, settings: Mapping[str, str] = SHORT_WAITS, root: Path = ROOT
) -> Iterator[LocalCloud]:
    """A local cloud on a directory; killed afterwards if it still runs."""
    stack = LocalCloud(directory, options, settings, root)
    try:
        yield stack
    finally:
        stack.kill()
        wait_until(lambda: not held_locks(stack.data_dir))


def check_invariants(stack: LocalCloud) -> None:
    assert stack.operator.get("/v1/stats")["audit"] == {"ok": True, "violations": []}
