"""A local cloud in a process of its own, as people start it, and the cabinets in it."""

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
from local.api import Answer, Api
from local.cabinet.control import Control
from local.stack import API_KEYS
from tests.database import fast_directory
from tests.e2e.command_line import SHORT, environment, held_locks, up
from tests.openapi_check import check_answer
from tests.processes import ROOT
from tests.waiting import wait_until

SECONDS_TO_START = 30
SECONDS_TO_STOP = 5
SHORT_CABINET = 2  # it has less in it than the others


class CheckedApi(Api):
    """The API, each of whose answers must be one that its document allows."""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        answer = super().call(method, path, body, **headers)
        check_answer(method, path, answer.status, answer.headers, answer.raw)
        return answer


class Running:
    """`python -m local up` on a directory; stopped, or killed, by its own methods."""

    def __init__(
        self, directory: Path, options: Sequence[str], settings: Mapping[str, str], root: Path
    ) -> None:
        self.data_dir = directory / "data"
        self._screen = directory / "screen.txt"
        self._complaints = directory / "complaints.txt"
        self._numbers = count(1)
        with self._screen.open("w") as screen, self._complaints.open("w") as complaints:
            self.process = subprocess.Popen(
                up(self.data_dir, *options),
                cwd=root,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=complaints,
                start_new_session=True,  # a Ctrl-C for the tests is not one for it
            )

    def wait_ready(self, *, seconds: float = SECONDS_TO_START) -> None:
        """Return when it says so, and learn its addresses."""
        try:
            wait_until(self._is_ready, seconds=seconds)
        except TimeoutError:
            raise AssertionError(f"not ready:\n{self.screen}{self.complaints}") from None
        self.addresses = addresses.read(self.data_dir)
        self.url: str = self.addresses["http_url"]
        self.operator = self.api("operator")
        self.backend = self.api("backend")
        self.control = Control(self.addresses["control_url"])

    @property
    def screen(self) -> str:
        return self._screen.read_text()

    @property
    def complaints(self) -> str:
        """What it wrote to standard error."""
        return self._complaints.read_text()

    @property
    def log(self) -> list[dict[str, Any]]:
        text = (self.data_dir / "log.jsonl").read_text()
        whole = text[: text.rfind("\n") + 1]  # it may be writing the next one
        return [json.loads(line) for line in whole.splitlines()]

    def api(self, scope: str) -> CheckedApi:
        return CheckedApi(self.url, API_KEYS[scope], timeout=20)

    def start_database(self) -> None:
        """Let it run again; a pooler needs a moment to notice."""
        self.control.start_server("database")
        wait_until(lambda: self.backend.call("GET", "/v1/health").body["database"] == "ok")

    def cabinet(self) -> "Cabinet":
        """A simulated cabinet that nobody has used yet: 6 accumulators to issue, 4 free cells."""
        number = next(n for n in self._numbers if n != SHORT_CABINET)
        return Cabinet(self, f"C-{number:03}", f"T-{number}")

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """Run a statement, with %(name)s for values; its rows."""
        with closing(psycopg2.connect(self.addresses["database_url"])) as connection:
            connection.autocommit = True
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                cursor.execute(statement, values)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code. Fails if that takes long or a process is left behind."""
        self.process.send_signal(number)
        code = self.process.wait(SECONDS_TO_STOP)
        assert held_locks(self.data_dir) == []
        return code

    def kill(self) -> None:
        """End it at once, by SIGKILL, if it still runs."""
        self.process.kill()
        self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.complaints
        return "\nready: " in self.screen


@dataclass(frozen=True)
class Cabinet:
    """A simulated cabinet, and a technician who comes to no other."""

    stack: Running
    cabinet_id: str
    technician: str

    def book(self, count: int = 1, kind: str = "issue") -> Any:
        body = {"cabinet_id": self.cabinet_id, "contractor_id": self.technician}
        return self.stack.backend.post("/v1/bookings", {**body, "kind": kind, "count": count})

    def unlock(self, booking: Any) -> Answer:
        """Press the button."""
        return self.stack.backend.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock")

    def booking(self, booking: Any) -> Any:
        return self.stack.backend.get(f"/v1/bookings/{booking['booking_id']}")

    def command(self, command_id: str) -> Any:
        return self.stack.backend.get(f"/v1/commands/{command_id}")

    def send(self, kind: str, **payload: Any) -> Answer:
        """A person sends a command."""
        body = {"kind": kind, "reason": "a test", **payload}
        path = f"/v1/cabinets/{self.cabinet_id}/commands"
        return self.stack.operator.call("POST", path, body)

    def catch_up(self) -> None:
        """Return when all that the cabinet has said so far has been applied."""
        assert self.send("report_state").status == 200

    def act(self, action: str, **arguments: Any) -> None:
        self.stack.control.act(self.cabinet_id, action, **arguments)

    def answer(self, how: str) -> None:
        """Answer commands so from now on."""
        self.act("answer", how=how)

    def take(self, *cells: int) -> None:
        """The technician takes what is in these open cells, and closes them."""
        for cell in cells:
            self.act("take", cell=cell, by=self.technician)
            self.act("close", cell=cell)

    def openings(self) -> int:
        """How often a command has opened a door."""
        cells = self.stack.control.cabinet(self.cabinet_id)["cells"]
        return sum(cell["openings"] for cell in cells)

    def cell(self, number: int) -> Any:
        """One cell as the API shows it."""
        return self.stack.backend.get(f"/v1/cabinets/{self.cabinet_id}")["cells"][number - 1]

    def bag(self) -> list[str]:
        """What the technician carries."""
        path = f"/v1/accumulators?contractor_id={self.technician}"
        return [one["accumulator_id"] for one in self.stack.backend.get(path)["accumulators"]]

    def causes(self, accumulator_id: str) -> list[str]:
        """Why an accumulator has moved, oldest first."""
        path = f"/v1/accumulators/{accumulator_id}/movements"
        found = self.stack.backend.get(path)["movements"]
        return [movement["cause"] for movement in reversed(found)]

    def anomalies(self) -> list[str]:
        """The reasons of this cabinet's anomalies, in order."""
        rows = self.stack.sql(
            "SELECT reason FROM anomalies WHERE device_id = %(id)s ORDER BY anomaly_id",
            id=self.cabinet_id,
        )
        return [row["reason"] for row in rows]


@contextmanager
def running(
    *options: str, settings: Mapping[str, str] = SHORT, root: Path = ROOT
) -> Iterator[Running]:
    """A local cloud that is ready; stopped in order afterwards, with nothing to complain of."""
    with (
        fast_directory() as directory,
        starting(directory, *options, settings=settings, root=root) as stack,
    ):
        stack.wait_ready()
        yield stack
        if stack.process.poll() is None:
            assert stack.stop() == 0
        assert stack.complaints == ""


@contextmanager
def starting(
    directory: Path, *options: str, settings: Mapping[str, str] = SHORT, root: Path = ROOT
) -> Iterator[Running]:
    """A local cloud on a directory; killed afterwards if it still runs."""
    stack = Running(directory, options, settings, root)
    try:
        yield stack
    finally:
        stack.kill()
        wait_until(lambda: not held_locks(stack.data_dir))
