"""A technician's shift against a local cloud; each step is checked."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local import CannotStart, addresses
from local.api import Api, UnexpectedStatus
from local.cabinet.control import Control, ControlError
from local.stack import API_KEYS, Options, Stack

SECONDS = 10
WANTED = 3
NEAR = "55.7558,37.6176"


class StepFailed(AssertionError):
    """A step failed; the message has the expected and the actual result."""


def main(*, url: str | None, data_dir: Path, pause: float = 0) -> int:
    """Play the shift; return 0 if every step succeeded. Without `url`, start a local cloud.

    With `pause`, in seconds, it waits after each step, so that one can watch in the console.
    """
    begun = time.monotonic()
    screen = sys.stdout  # the stack redirects standard output to its log

    def say(line: str) -> None:
        print(line, file=screen, flush=True)

    if url is None:
        say("Starting a local cloud: PostgreSQL, broker, functions, bridge, 12 cabinets …")
    with _stack(url, data_dir) as (api_url, control_url):
        say(f"It is ready after {time.monotonic() - begun:.1f} s.\n" if url is None else "")
        if pause:
            say(f"Watch the shift in the console: {api_url}/\n")
        say(f"{'':>3} {'who':<11} {'does':<41} and sees\n{'':>3} {'-' * 110}")
        shift = Shift(Api(api_url, API_KEYS["backend"]), Control(control_url), say, pause)
        try:
            shift.play()
        except (StepFailed, UnexpectedStatus, ControlError) as error:
            say(f"\nThe demo failed after step {shift.steps}: {error}")
            return 1
    say(f"\nAll {shift.steps} steps succeeded; {time.monotonic() - begun:.1f} s in all.")
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
    # Waiting for the silent cabinet would otherwise take longer than the rest of the demo.
    os.environ["UNLOCK_WAIT_SECONDS"] = "2"  # noqa: TID251 - as a deployment sets it
    with tempfile.TemporaryDirectory(prefix="accumulator-demo-") as directory:
        options = Options(http_port=0, mqtt_port=0, data_dir=Path(directory))
        with Stack(options) as stack:
            yield stack.gateway.url, stack.control_url


class Shift:
    """The shift. `steps`: the number of steps that succeeded so far."""

    def __init__(
        self, api: Api, control: Control, say: Callable[[str], None], pause: float = 0
    ) -> None:
        self._api = api
        self._say = say
        self._pause = pause
        self._control = control
        self.steps = 0
        run = format(int(time.time()) % 1_000_000, "06d")
        self._technician = f"T-{run}"
        self._scooters = [f"S-{run}-{n}" for n in range(1, WANTED + 1)]
        self._flats = [f"F-{run}-{n}" for n in range(1, WANTED + 1)]

    def play(self) -> None:
        """Play all steps in order."""
        cabinets = self._find_cabinet()
        self._book_too_many(cabinets)
        cabinet_id, charged = self._fetch_charged()
        self._swap_in_scooters(charged)
        self._return_flat()
        self._read_movements(charged[0])
        self._unlock_silent_cabinets(cabinet_id)
        self._audit()

    def _find_cabinet(self) -> list[dict[str, Any]]:
        path = f"/v1/cabinets?near={NEAR}&online=true"
        expected = len(self._control.cabinets())
        cabinets = self._until(
            lambda: self._api.get(path)["cabinets"], lambda online: len(online) >= expected
        )
        total = sum(cabinet["accumulators"]["available"] for cabinet in cabinets)
        self._tell("cabinets", "report what they hold", f"{len(cabinets)} online, {total} ready")
        best = cabinets[0]
        self._tell(
            "backend",
            "asks which cabinet is near",
            f"{best['cabinet_id']} at {best['distance_m']} m:"
            f" {best['accumulators']['available']} ready, {best['free_cells']} free cells",
        )
        return list(cabinets)

    def _book_too_many(self, cabinets: list[dict[str, Any]]) -> None:
        poorest = min(cabinets, key=lambda one: one["accumulators"]["available"])
        cabinet_id, available = poorest["cabinet_id"], poorest["accumulators"]["available"]
        body = self._booking(cabinet_id, "issue", max(WANTED, available + 1))
        response = self._api.call("POST", "/v1/bookings", body)
        self._check(
            (response.status, response.body.get("code"), response.body.get("available")),
            (409, "not_enough_accumulators", available),
        )
        self._tell(
            "backend",
            f"books {body['count']} in {cabinet_id}",
            f"409 not_enough_accumulators, available {available}",
        )

    def _fetch_charged(self) -> tuple[str, list[str]]:
        cabinet_id = self._nearest(
            f"min_available={WANTED + 1}"
        )  # one more, for the unlock without a reply
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

    def _swap_in_scooters(self, charged: list[str]) -> None:
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

    def _return_flat(self) -> None:
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

    def _read_movements(self, accumulator_id: str) -> None:
        path = f"/v1/accumulators/{accumulator_id}/movements"
        movements = self._api.get(path)["movements"][::-1]
        self._check([one["cause"] for one in movements][-2:], ["issued", "swapped"])
        self._tell(
            "support", f"reads the custody of {accumulator_id}", f"{len(movements)} movements"
        )
        for one in movements:
            way = f"{_place(one['from'])} → {_place(one['to'])}"
            self._say(f"{'':>57} {one['cause']:<10} {way}")

    def _unlock_silent_cabinets(self, cabinet_id: str) -> None:
        """One cabinet gets no command; another executes its command and replies too late."""
        late_id = self._nearest("min_available=1", other_than=cabinet_id)
        self._control.act(late_id, "answer", how="held")
        try:
            command_id = self._unlock_without_waiting(late_id)
            self._unlock_without_reply(cabinet_id)
            self._check(self._api.get(f"/v1/commands/{command_id}")["status"], "no_answer")
            cursor = self._api.get("/v1/events")["cursor"]
        finally:
            self._control.act(late_id, "answer", how="release")
        self._follow_late_reply(late_id, command_id, cursor)

    def _unlock_without_waiting(self, cabinet_id: str) -> str:
        booking = self._api.post("/v1/bookings", self._booking(cabinet_id, "issue", 1))
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        response = self._api.call("POST", path, Prefer="respond-async")
        self._check((response.status, response.body["status"]), (202, "published"))
        self._tell("backend", f"unlocks {cabinet_id} without waiting", "202 published")
        return str(response.body["command_id"])

    def _follow_late_reply(self, cabinet_id: str, command_id: str, cursor: str) -> None:
        path = f"/v1/events?after={cursor}&cabinet_id={cabinet_id}"
        types = ("command.succeeded", "booking.completed")
        events = self._until(
            lambda: self._api.get(f"{path}&types={','.join(types)}")["events"],
            lambda events: len(events) >= len(types),
        )
        found = {event["type"]: event["resource"] for event in events}
        command = found["command.succeeded"]
        self._check((command["command_id"], command["late"]), (command_id, True))
        self._check(found["booking.completed"]["command_id"], command_id)
        self._tell("backend", "follows the feed", f"{cabinet_id} replied late: {_list([*found])}")
        self._take_out(cabinet_id, [cell["cell_number"] for cell in command["cells"]])

    def _unlock_without_reply(self, cabinet_id: str) -> None:
        booking = self._api.post("/v1/bookings", self._booking(cabinet_id, "issue", 1))
        path = f"/v1/bookings/{booking['booking_id']}/unlock"
        self._control.act(cabinet_id, "answer", how="deaf")
        try:
            response = self._api.call("POST", path)
        finally:
            self._control.act(cabinet_id, "answer", how="normal")
        self._check((response.status, response.body.get("code")), (504, "cabinet_no_answer"))
        command_path = f"/v1/commands/{response.body['command_id']}"
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
            f"it proves that it did not execute; now cell {number} opens",
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

    def _nearest(self, condition: str, *, other_than: str = "") -> str:
        listed = self._api.get(f"/v1/cabinets?near={NEAR}&online=true&{condition}")["cabinets"]
        found = [one for one in listed if one["cabinet_id"] != other_than]
        if not found:
            raise StepFailed(f"no cabinet has {condition}: start with another --data-dir")
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
        cabinets = {one["cabinet_id"]: one for one in self._control.cabinets()}
        return sorted(cabinets[cabinet_id]["open_doors"])

    def _until(self, read: Callable[[], Any], is_expected: Callable[[Any], bool]) -> Any:
        """Return the value as soon as it is as expected. Raises StepFailed after a time limit."""
        deadline = time.monotonic() + SECONDS
        while not is_expected(seen := read()):
            if time.monotonic() > deadline:
                raise StepFailed(f"not as expected within {SECONDS} s; the last result: {seen}")
            time.sleep(0.05)
        return seen

    def _check(self, result: object, expected: object) -> None:
        if result != expected:
            raise StepFailed(f"expected {expected}, got {result}")

    def _tell(self, who: str, does: str, sees: str) -> None:
        self.steps += 1
        self._say(f"{self.steps:>3} {who:<11} {does:<41} {sees}")
        time.sleep(self._pause)


def _list(items: list[Any]) -> str:
    return ", ".join(map(str, items))


def _place(place: dict[str, Any] | None) -> str:
    if place is None:
        return "nowhere known"
    if "cabinet_id" in place:
        return f"{place['cabinet_id']} cell {place['cell_number']}"
    return str(next(iter(place.values())))
