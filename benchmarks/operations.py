"""Every operation of the API, in an order in which each succeeds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import city
from benchmarks.city import City
from benchmarks.service import Invocation, Service
from local.cabinet.hardware import Accumulator


@dataclass(frozen=True)
class Step:
    """A request; `name` is its operation, with an optional variant after a space."""

    name: str
    method: str
    path: str
    body: Any = None
    status: int = 200

    @property
    def operation(self) -> str:
        """The operation id in the OpenAPI document."""
        return self.name.split()[0]


Perform = Callable[[Step], Any]
"""Sends a request and returns its response; may skip a GET and return None."""


def perform(service: Service, step: Step) -> tuple[Any, Invocation]:
    """Send the request; return the response and the invocation of its function."""
    before = len(service.invocations)
    answer = service.call(step.method, step.path, step.body, status=step.status)
    new = service.invocations[before:]
    return answer, next(call for call in new if call.operation == step.operation)


def perform_all(act: Perform, service: Service, place: City, number: int) -> None:
    """Perform every operation; `number` selects the cabinet, scooter and technician."""
    _read(act, place, number)
    _operate(act, place, number)
    visit(act, service, place, number)


def near(number: int) -> str:
    """A position in the city, as the query parameter `near`."""
    return f"{55.55 + 0.4 * (number * 0.37 % 1):.5f},{37.35 + 0.55 * (number * 0.59 % 1):.5f}"


def _read(act: Perform, place: City, number: int) -> None:
    cabinet, technician = 1 + number % place.cabinets, 1 + number % place.technicians
    cabinets, bookings, accumulators = "/v1/cabinets", "/v1/bookings", "/v1/accumulators"
    for name, path in {
        "list_cabinets": cabinets,
        "list_cabinets near": f"{cabinets}?near={near(number)}",
        "list_cabinets near, 4 available": f"{cabinets}?near={near(number)}&min_available=4",
        "list_cabinets within 2 km": f"{cabinets}?near={near(number)}&radius_m=2000",
        "list_cabinets that nothing meets": f"{cabinets}?near={near(number)}&min_free_cells=12",
        "get_cabinet": f"{cabinets}/C-{cabinet}",
        "list_accumulators": accumulators,
        "list_accumulators of a cabinet": f"{accumulators}?cabinet_id=C-{cabinet}",
        "list_accumulators of a technician": f"{accumulators}?contractor_id=T-{technician}",
        "list_accumulators in a scooter": f"{accumulators}?scooter_id=S-{cabinet}",
        "list_accumulators missing": f"{accumulators}?status=missing",
        "get_accumulator": f"{accumulators}/A-{cabinet}-1",
        "list_movements": f"{accumulators}/A-{cabinet}-1/movements",
        "list_all_movements": "/v1/movements?limit=1000",
        "list_all_movements of a cabinet": f"/v1/movements?cabinet_id=C-{cabinet}",
        "list_all_movements that a cabinet reported": f"/v1/movements?reported_by=C-{cabinet}",
        "list_all_movements of a scooter": f"/v1/movements?scooter_id=S-{cabinet}",
        "list_bookings": bookings,
        "list_bookings of a cabinet": f"{bookings}?cabinet_id=C-{cabinet}",
        "list_bookings of a technician": f"{bookings}?contractor_id=T-{technician}",
        "list_bookings active": f"{bookings}?status=active",
        "list_bookings failed": f"{bookings}?status=failed",
        "list_commands": "/v1/commands",
        "list_commands of a cabinet": f"/v1/commands?cabinet_id=C-{cabinet}",
        "list_commands that failed": "/v1/commands?status=failed",
        "list_contractors": "/v1/contractors",
        "list_contractors with 5": "/v1/contractors?min_accumulators=5",
        "export_contractor": f"/v1/contractors/T-{technician}/data",
        "list_anomalies": "/v1/anomalies",
        "list_anomalies that are open": "/v1/anomalies?open=true",
        "list_anomalies of a cabinet": f"/v1/anomalies?cabinet_id=C-{cabinet}",
        "list_events from now": "/v1/events",
        "list_webhooks": "/v1/webhooks",
        "get_overview": "/v1/overview",
        "get_overview of a cabinet": f"/v1/overview?cabinet_ids=C-{cabinet}",
        "list_attention": "/v1/attention",
        "get_history": "/v1/history",
        "find_ids": f"/v1/search?q=C-{cabinet}",
        "get_me": "/v1/me",
        "get_stats": "/v1/stats",
        "get_health": "/v1/health",
        "get_readiness": "/v1/health/ready",
    }.items():
        act(Step(name, "GET", path))
    now = act(Step("list_events from now", "GET", "/v1/events"))
    if now is not None:
        act(Step("list_events", "GET", f"/v1/events?after={now['cursor']}"))


def _operate(act: Perform, place: City, number: int) -> None:
    """The operators' requests."""
    cabinet, accumulator = f"N-{number}", f"N-{number}"
    coords = {"lat": 55.7558, "lon": 37.6173}
    body: Any = {"cabinet_id": cabinet, "coords": coords, "cells_total": city.CELLS}
    act(Step("register_cabinet", "POST", "/v1/cabinets", body, 201))
    of_cabinet = f"/v1/cabinets/{cabinet}"
    act(Step("change_cabinet", "PATCH", of_cabinet, {"address": "Tverskaya 1, Moscow"}))
    body = {"since": "2026-11-22T12:00:00Z", "reason": "its login was stolen"}
    act(Step("undo_claims", "POST", f"{of_cabinet}/undo", body))
    body = {"health": "disabled", "reason": "the door is bent"}
    act(Step("change_cell", "PATCH", f"{of_cabinet}/cells/1", body))
    body = {"cabinets": [{"cabinet_id": cabinet, "coords": coords, "cells_total": city.CELLS}]}
    act(Step("import_fleet", "POST", "/v1/imports", body))
    act(Step("remove_cabinet", "DELETE", of_cabinet, status=204))
    body = {"accumulator_id": accumulator, "contractor_id": "T-operator", "battery_charge": 90}
    act(Step("register_accumulator", "POST", "/v1/accumulators", body, 201))
    of_accumulator = f"/v1/accumulators/{accumulator}"
    body = {"place": {"nowhere": True}, "reason": "lost"}
    act(Step("correct_accumulator", "PATCH", of_accumulator, body))
    act(Step("retire_accumulator", "DELETE", of_accumulator, status=204))
    act(Step("erase_contractor", "DELETE", "/v1/contractors/T-operator"))
    path = f"/v1/anomalies/{1 + number % place.cabinets}/acknowledge"
    act(Step("acknowledge_anomaly", "POST", path, {"note": f"seen {number}"}))
    _subscribe(act)


def _subscribe(act: Perform) -> None:
    """Make and remove a webhook; it is tested, and nobody listens."""
    body = {"url": "http://127.0.0.1:9/"}  # the port `discard`
    webhook = act(Step("create_webhook", "POST", "/v1/webhooks", body, 201))
    of_webhook = f"/v1/webhooks/{webhook['webhook_id']}"
    act(Step("change_webhook", "PATCH", of_webhook, {"status": "paused"}))
    act(Step("test_webhook", "POST", f"{of_webhook}/test"))
    act(Step("remove_webhook", "DELETE", of_webhook, status=204))


def visit(act: Perform, service: Service, place: City, number: int) -> None:
    """A technician takes an accumulator, swaps it, and returns the flat one."""
    cabinet, technician = 1 + number % place.cabinets, f"T-{1 + number % place.technicians}"
    scooter = f"S-{1 + number % place.scooters}"
    body: Any = {"kind": "report_state", "spread_s": 0, "reason": "to see"}
    command = act(Step("send_command", "POST", f"/v1/cabinets/C-{cabinet}/commands", body))
    act(Step("get_command", "GET", f"/v1/commands/{command['command_id']}"))
    body = {"cabinet_id": f"C-{cabinet}", "contractor_id": technician, "kind": "issue", "count": 1}
    cancelled = act(Step("create_booking to cancel", "POST", "/v1/bookings", body, 201))
    act(Step("cancel_booking", "DELETE", f"/v1/bookings/{cancelled['booking_id']}"))
    booking = act(Step("create_booking", "POST", "/v1/bookings", body, 201))
    of_booking = f"/v1/bookings/{booking['booking_id']}"
    act(Step("get_booking", "GET", of_booking))
    [cell] = act(Step("unlock_booking", "POST", f"{of_booking}/unlock"))["cells"]
    hardware = service.cabinets[cabinet]
    hardware.remove(cell["cell_number"])
    hardware.close_door(cell["cell_number"])
    service.say(hardware, hardware.poll_sensors())
    swap = {
        "scooter_id": scooter,
        "contractor_id": technician,
        "installed_accumulator_id": cell["accumulator_id"],
        "removed_accumulator_id": scooter,
        "removed_battery_charge": 12,
    }
    act(Step("create_swap", "POST", "/v1/swaps", swap))
    _hand_over(act, scooter, technician)
    body |= {"kind": "return"}
    booking = act(Step("create_booking of a return", "POST", "/v1/bookings", body, 201))
    path = f"/v1/bookings/{booking['booking_id']}/unlock"
    [cell] = act(Step("unlock_booking of a return", "POST", path))["cells"]
    hardware.insert(cell["cell_number"], Accumulator(scooter, 12, 96))
    hardware.close_door(cell["cell_number"])
    service.say(hardware, hardware.poll_sensors())


def _hand_over(act: Perform, accumulator_id: str, technician: str) -> None:
    """A technician hands an accumulator over to a van, and gets it back."""
    for name, giver, taker in [
        ("create_transfer", technician, "VAN-1"),
        ("create_transfer back", "VAN-1", technician),
    ]:
        body = {"from_contractor_id": giver, "to_contractor_id": taker}
        act(Step(name, "POST", "/v1/transfers", body | {"accumulator_ids": [accumulator_id]}))
