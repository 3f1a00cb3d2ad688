"""A technician's shift, step by step, against a whole local cloud; every line is checked."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import CannotStart, addresses
from local.api import Api, Unexpected
from local.cabinet.control import Control, Refused
from local.stack import API_KEYS, Options, Stack

SECONDS = 10
WANTED = 3
NEAR = "55.7558,37.6176"


class Failed(AssertionError):
    """A step was not as it must be; says what was expected and what was seen."""


def main(*, url: str | None, data_dir: Path) -> int:
    """Play the story; 0 if all of it is true. Starts a stack of its own unless `url` is given."""
    begun = time.monotonic()
    screen = sys.stdout  # the stack sends what functions print to its log

    def say(line: str) -> None:
        print(line, file=screen, flush=True)

    if url is None:
        say("Starting a local cloud: PostgreSQL, broker, functions, bridge, 12 cabinets …")
    with _stack(url, data_dir) as (api_url, control_url):
        say(f"It is ready after {time.monotonic() - begun:.1f} s.\n" if url is None else "")
        say(f"{'':>3} {'who':<11} {'does':<41} and sees\n{'':>3} {'-' * 110}")
        shift = Shift(Api(api_url, API_KEYS["backend"]), Control(control_url), say)
        try:
            shift.play()
        except (Failed, Unexpected, Refused) as error:
            say(f"\nNot as it must be, after step {shift.steps}: {error}")
            return 1
    say(f"\nAll {shift.steps} steps are true; {time.monotonic() - begun:.1f} s in all.")
    return 0


@contextmanager
def _stack(url: str | None, data_dir: Path) -> Iterator[tuple[str, str]]:
    """The URLs of the API and of the cabinets' control interface."""
    if url is not None:
        found = addresses.read(data_dir)
        if found["http_url"] != url.rstrip("/"):
            raise CannotStart(
                f"the stack on {data_dir} is {found['http_url']}: name its --data-dir"
            )
        yield found["http_url"], found["control_url"]
        return
    # The cabinet that does not answer would otherwise be waited for longer than the whole story.
    os.environ["UNLOCK_WAIT_SECONDS"] = "2"  # noqa: TID251 - as a deployment sets it
    with tempfile.TemporaryDirectory(prefix="accumulator-demo-") as directory:
        options = Options(http_port=0, mqtt_port=0, data_dir=Path(directory))
        with Stack(options) as stack:
            yield stack.gateway.url, stack.control_url


class Shift:
    """The story. `steps`: how many were true so far."""

    def __init__(self, api: Api, control: Control, say: Callable[[str], None]) -> None:
        self._api = api
        self._say = say
        self._control = control
        self.steps = 0
        run = format(int(time.time()) % 1_000_000, "06d")
        self._technician = f"T-{run}"
        self._scooters = [f"S-{run}-{n}" for n in range(1, WANTED + 1)]
        self._flats = [f"F-{run}-{n}" for n in range(1, WANTED + 1)]

    def play(self) -> None:
        """All of it, in order."""
        cabinets = self._ask_where()
        self._be_refused(cabinets)
        cabinet_id, charged = self._fetch()
        self._swap(charged)
        self._bring_back()
        self._read_custody(charged[0])
        self._meet_silence(cabinet_id)
        self._audit()

    def _ask_where(self) -> list[dict[str, Any]]:
        path = f"/v1/cabinets?near={NEAR}&online=true"
        expected = len(self._control.cabinets())
        found = self._until(
            lambda: self._api.get(path)["cabinets"], lambda cabinets: len(cabinets) >= expected
        )
        total = sum(one["accumulators"]["available"] for one in found)
        self._tell("cabinets", "report what they hold", f"{len(found)} online, {total} ready")
        best = found[0]
        self._tell(
            "backend",
            "asks which cabinet is near",
            f"{best['cabinet_id']} at {best['distance_m']} m:"
            f" {best['accumulators']['available']} ready, {best['free_cells']} free cells",
        )
        return list(found)

    def _be_refused(self, cabinets: list[dict[str, Any]]) -> None:
        poorest = min(cabinets, key=lambda one: one["accumulators"]["available"])
        cabinet_id, there = poorest["cabinet_id"], poorest["accumulators"]["available"]
        body = self._booking(cabinet_id, "issue", max(WANTED, there + 1))
        answer = self._api.call("POST", "/v1/bookings", body)
        self._check(
            (answer.status, answer.body.get("code"), answer.body.get("available")),
            (409, "not_enough_accumulators", there),
        )
        self._tell(
            "backend",
            f"books {body['count']} in {cabinet_id}",
            f"409 not_enough_accumulators, available {there}",
        )

    def _fetch(self) -> tuple[str, list[str]]:
        cabinet_id = self._nearest(f"min_available={WANTED + 1}")  # one more for the last steps
        booking = self._api.post("/v1/bookings", self._booking(cabinet_id, "issue", WANTED))
        self._check([cell["state"] for cell in booking["cells"]], ["held"] * WANTED)
        held = ", ".join(
            f"{c['accumulator_id']} ({c['battery_charge']} %)" for c in booking["cells"]
        )
        self._tell("backend", f"tries the next, {cabinet_id}", f"201: holds {held}")
        unlock = self._api.post(f"/v1/bookings/{booking['booking_id']}/unlock")
        self._check(unlock["status"], "completed")
        cells = [cell["cell_number"] for cell in unlock["cells"]]
        self._check(self._open_doors(cabinet_id), sorted(cells))
        self._tell("technician", "presses the button", f"cells {_list(cells)} open")
        self._take_out(cabinet_id, cells)
        charged = sorted(cell["accumulator_id"] for cell in unlock["cells"])
        self._check(self._in_bag(), charged)
        self._tell("technician", "takes them, closes the doors", f"carries {_list(charged)}")
        return cabinet_id, charged

    def _swap(self, charged: list[str]) -> None:
        for scooter, full, flat, charge in zip(
            self._scooters, charged, self._flats, (7, 4, 11), strict=True
        ):
            body = {
                "scooter_id": scooter,
                "contractor_id": self._technician,
                "installed_accumulator_id": full,
                "removed_accumulator_id": flat,
                "removed_battery_charge": charge,
            }
            swap = self._api.post("/v1/swaps", body)
            self._check(swap["installed"]["place"], {"scooter_id": scooter})
            self._check(swap["removed"]["place"], {"contractor_id": self._technician})
            self._tell(
                "technician", f"swaps scooter {scooter}", f"{full} in, {flat} ({charge} %) out"
            )
        self._check(self._in_bag(), self._flats)

    def _bring_back(self) -> None:
        cabinet_id = self._nearest(f"min_free_cells={WANTED}")
        booking = self._api.post("/v1/bookings", self._booking(cabinet_id, "return", WANTED))
        held = [cell["cell_number"] for cell in booking["cells"]]
        self._tell("backend", f"books {WANTED} free cells in {cabinet_id}", f"201: {_list(held)}")
        unlock = self._api.post(f"/v1/bookings/{booking['booking_id']}/unlock")
        self._check(unlock["status"], "returning")
        self._tell("technician", "presses the button", f"cells {_list(held)} open, empty")
        for number, flat in zip(held, self._flats, strict=True):
            self._control.act(cabinet_id, "insert", cell=number, accumulator=flat, charge=9)
            self._control.act(cabinet_id, "close", cell=number)
        booking_path = f"/v1/bookings/{booking['booking_id']}"
        done = self._until(
            lambda: self._api.get(booking_path), lambda one: one["status"] == "completed"
        )
        self._check([cell["state"] for cell in done["cells"]], ["inserted"] * WANTED)
        self._check(self._in_bag(), [])
        self._tell("technician", "puts the flat ones in", "return completed, bag empty")

    def _read_custody(self, accumulator_id: str) -> None:
        path = f"/v1/accumulators/{accumulator_id}/movements"
        movements = self._api.get(path)["movements"][::-1]
        self._check([one["cause"] for one in movements][-2:], ["issued", "swapped"])
        self._tell(
            "support", f"reads the custody of {accumulator_id}", f"{len(movements)} movements"
        )
        for one in movements:
            way = f"{_place(one['from'])} → {_place(one['to'])}"
            self._say(f"{'':>57} {one['cause']:<10} {way}")

    def _meet_silence(self, cabinet_id: str) -> None:
        booking = self._api.post("/v1/bookings", self._booking(cabinet_id, "issue", 1))
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        self._control.act(cabinet_id, "answer", how="deaf")
        try:
            answer = self._api.call("POST", path)
        finally:
            self._control.act(cabinet_id, "answer", how="normal")
        self._check((answer.status, answer.body.get("code")), (504, "cabinet_no_answer"))
        command_path = f"/v1/commands/{answer.body['command_id']}"
        self._check(self._api.get(command_path)["status"], "no_answer")
        self._tell("technician", f"presses, and {cabinet_id} is silent", "504 cabinet_no_answer")
        unlock = self._api.post(path)
        self._check(self._api.get(command_path)["status"], "not_executed")
        self._check(unlock["status"], "completed")
        number = unlock["cells"][0]["cell_number"]
        self._take_out(cabinet_id, [number])
        self._tell(
            "technician",
            "presses again when it is back",
            f"it proves that nothing had opened; now cell {number} opens",
        )

    def _audit(self) -> None:
        stats = self._api.get("/v1/stats")
        self._check(stats["audit"], {"ok": True, "violations": []})
        places = stats["places"]
        self._tell(
            "operator",
            "audits the invariants",
            f"all hold; {places['registered']} accumulators: {places['in_cells']} in cells,"
            f" {places['with_contractors']} with technicians, {places['in_scooters']} in scooters",
        )

    def _nearest(self, wish: str) -> str:
        found = self._api.get(f"/v1/cabinets?near={NEAR}&online=true&{wish}")["cabinets"]
        if not found:
            raise Failed(f"no cabinet has {wish}: begin anew with another --data-dir")
        return str(found[0]["cabinet_id"])

    def _take_out(self, cabinet_id: str, cells: list[int]) -> None:
        for number in cells:
            self._control.act(cabinet_id, "take", cell=number, by=self._technician)
            self._control.act(cabinet_id, "close", cell=number)

    def _booking(self, cabinet_id: str, kind: str, count: int) -> dict[str, Any]:
        return {
            "cabinet_id": cabinet_id,
            "contractor_id": self._technician,
            "kind": kind,
            "count": count,
        }

    def _in_bag(self) -> list[str]:
        path = f"/v1/accumulators?contractor_id={self._technician}"
        return [one["accumulator_id"] for one in self._api.get(path)["accumulators"]]

    def _open_doors(self, cabinet_id: str) -> list[int]:
        truth = {one["cabinet_id"]: one for one in self._control.cabinets()}
        return sorted(truth[cabinet_id]["open_doors"])

    def _until(self, look: Callable[[], Any], true: Callable[[Any], bool]) -> Any:
        """What is seen once it is as it must be."""
        deadline = time.monotonic() + SECONDS
        while not true(seen := look()):
            if time.monotonic() > deadline:
                raise Failed(f"not so within {SECONDS} s; last seen: {seen}")
            time.sleep(0.05)
        return seen

    def _check(self, seen: object, expected: object) -> None:
        if seen != expected:
            raise Failed(f"expected {expected}, saw {seen}")

    def _tell(self, who: str, does: str, sees: str) -> None:
        self.steps += 1
        self._say(f"{self.steps:>3} {who:<11} {does:<41} {sees}")


def _list(items: list[Any]) -> str:
    return ", ".join(map(str, items))


def _place(place: dict[str, Any] | None) -> str:
    if place is None:
        return "nowhere known"
    if "cabinet_id" in place:
        return f"{place['cabinet_id']} cell {place['cell_number']}"
    return str(next(iter(place.values())))
