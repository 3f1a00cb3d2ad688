"""A fleet that looks alive, and the addresses of all screens that show it."""

from dataclasses import dataclass
from typing import Any

from tests.support.local_cloud import Cabinet, LocalCloud
from tests.support.waiting import wait_until

SETTINGS = {
    "OFFLINE_AFTER_SECONDS": "7200",  # no cabinet is offline until a test cuts its network
    "UNLOCK_WAIT_SECONDS": "3",
}

_LAST_DAY = """
    INSERT INTO stock_samples (at, ready, free, online, active)
    SELECT at, 62 + 14 * sin(hour * pi() / 9), 48 - 9 * sin(hour * pi() / 9), 13, 14
      FROM generate_series(date_trunc('minute', now()) - interval '1 day',
                           date_trunc('minute', now()) - interval '2 minutes',
                           interval '1 minute') at,
           LATERAL (SELECT extract(epoch FROM at) / 3600 AS hour) h
        ON CONFLICT DO NOTHING"""
"""What the overview shows of the last day, which nobody waits for."""


@dataclass(frozen=True)
class Scenes:
    """What the screens show; each an id."""

    cabinet: str
    accumulator: str
    technician: str
    scooter: str
    booking: str
    command: str

    def addresses(self) -> dict[str, str]:
        """Return the address of each screen after #/, by the screen's name."""
        return {
            "overview": "overview",
            "cabinets": "cabinets",
            "cabinet": f"cabinets/{self.cabinet}",
            "accumulator": f"accumulators/{self.accumulator}",
            "technicians": "technicians",
            "technician": f"technicians/{self.technician}",
            "scooter": f"scooters/{self.scooter}",
            "booking": f"bookings/{self.booking}",
            "command": f"commands/{self.command}",
            "attention": "attention",
            "search": f"search?q={self.cabinet[:3]}",
            "import": "import",
        }


def play(stack: LocalCloud) -> Scenes:
    """Let a technician work, and let some things go wrong, with four cabinets of the cloud."""
    stack.sql(_LAST_DAY)
    busy = stack.cabinet()
    accumulator, scooter = _swap(busy)
    failed = _break(busy)
    booking = busy.book(2)
    _trouble(stack.cabinet(), stack.cabinet(), stack.cabinet())
    return Scenes(
        cabinet=busy.cabinet_id,
        accumulator=accumulator,
        technician=busy.technician,
        scooter=scooter,
        booking=booking["booking_id"],
        command=failed,
    )


def _swap(cabinet: Cabinet) -> tuple[str, str]:
    """Issue two accumulators, swap one in a scooter, and return what was in it."""
    cells = cabinet.unlock(cabinet.book(2)).body["cells"]
    cabinet.take(*(cell["cell_number"] for cell in cells))
    issued, scooter, flat = cells[0]["accumulator_id"], "S-2041", f"F-{cabinet.cabinet_id}"
    swap = {
        "scooter_id": scooter,
        "contractor_id": cabinet.technician,
        "installed_accumulator_id": issued,
        "removed_accumulator_id": flat,
        "removed_battery_charge": 6,
    }
    cabinet.stack.backend.post("/v1/swaps", swap)
    booking = cabinet.book(1, kind="return")
    number = cabinet.unlock(booking).body["cells"][0]["cell_number"]
    cabinet.act("insert", cell=number, accumulator=flat, charge=6, by=cabinet.technician)
    cabinet.act("close", cell=number)
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    return issued, scooter


def _break(cabinet: Cabinet) -> str:
    """Unlock a cell whose lock is jammed; return the command."""
    booking = cabinet.book(1)
    cabinet.act("jam", cell=booking["cells"][0]["cell_number"])
    response = cabinet.unlock(booking)
    return str(cabinet.booking(booking)["command_id"] or response.body["command_id"])


def _trouble(alarmed: Cabinet, offline: Cabinet, inactive: Cabinet) -> None:
    """An alarm, a cabinet without network, one out of service; accumulators that need a person."""
    operator = alarmed.stack.operator
    alarmed.act("alarm", code="smoke")
    alarmed.act("pry", cell=1)
    cells: list[Any] = operator.get(f"/v1/cabinets/{alarmed.cabinet_id}")["cells"]
    inside = [cell["accumulator_id"] for cell in cells if cell["accumulator_id"]]
    for accumulator_id, status in zip(inside, ("quarantined", "missing"), strict=False):
        body = {"status": status, "reason": "swollen, seen by the technician"}
        operator.expect({200}, "PATCH", f"/v1/accumulators/{accumulator_id}", body)
    operator.expect(
        {200},
        "PATCH",
        f"/v1/cabinets/{inactive.cabinet_id}",
        {"status": "inactive", "status_reason": "the pavement is being mended"},
    )
    offline.act("offline")
    wait_until(alarmed.anomalies)
    path = f"/v1/cabinets/{offline.cabinet_id}"
    wait_until(lambda: not operator.get(path)["online"])
