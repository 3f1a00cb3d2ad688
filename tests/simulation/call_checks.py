"""Checks at the end of a call or a commit of a request, against the physical truth."""

from typing import Any

from tests.simulation import report_checks
from tests.simulation.backend import Request, Response
from tests.simulation.calls import Call, Killed
from tests.simulation.memory import KnownBooking, Violation
from tests.simulation.state import RunState
from tests.simulation.world import CellId

_REMOVAL = ("DELETE", "/v1/cabinets/{cabinet_id}")


def call_ended(sim: RunState, call: Call) -> None:
    """Check that a call failed only if a fault struck it."""
    sim.database.release_connections(call)
    if call.deadlocked:
        raise Violation("no deadlock", call.name)
    if call.failed and not isinstance(call.error, Killed) and not call.struck_by:
        raise Violation("no call fails without a fault", repr(call.error)) from call.error


def request_ended(sim: RunState, call: Call, request: Request) -> None:
    """Check the response of a request, or note that it got none."""
    call_ended(sim, call)
    if request.report is not None:
        report_checks.report_ended(sim, request.report, call)
    if call.failed:
        sim.memory.unanswered.append(request)
        return
    response: Response = call.result
    if response.status == 500 or (
        response.status == 503
        and response.body["code"] == "database_unavailable"
        and not call.struck_by
    ):
        raise Violation("no request fails without a fault", f"{response} {sim.errors[-1:]}")
    if request.resource == "/v1/bookings" and response.status == 201:
        _remember_booking(sim, request, response.body)
    if request.resource.endswith("/unlock") and response.status == 200:
        _check_unlocked(sim, response.body)
    if response.status == 202:
        _check_accepted(sim, request, response.body)
    if response.status == 503 and response.body["code"] == "queue_unavailable":
        _check_not_pending(sim, request)


def request_committed(sim: RunState, request: Request) -> None:
    """On the call's thread: forget a cabinet as soon as its removal is committed.

    The call may stop before it answers, and a cabinet with the same id be registered meanwhile.
    """
    if (request.method, request.resource) != _REMOVAL:
        return
    cabinet_id = dict(request.parameters)["cabinet_id"]
    sql = "SELECT FROM cabinets WHERE cabinet_id = %(cabinet_id)s"
    if not sim.database.query(sql, cabinet_id=cabinet_id):
        sim.memory.forget_cabinet(cabinet_id)
        sim.network.forget(cabinet_id)


def _remember_booking(sim: RunState, request: Request, body: Any) -> None:
    made = sim.memory.made_by_key
    if request.key and made.setdefault(request.key, body["booking_id"]) != body["booking_id"]:
        raise Violation("one key makes one booking", request)
    if all(known.booking_id != body["booking_id"] for known in sim.memory.bookings):
        names = ("booking_id", "cabinet_id", "contractor_id", "kind")
        sim.memory.bookings.append(KnownBooking(*(body[name] for name in names)))


def _check_unlocked(sim: RunState, body: Any) -> None:
    opened = sim.world.executed.get(body["command_id"], set())
    for cell in body["cells"]:
        if cell["result"] != "opened" or cell["cell_number"] in opened:
            continue
        cell_id = CellId(_cabinet_of(sim, body["booking_id"]), cell["cell_number"])
        if cell_id not in sim.world.misreported and not _inferred(sim, body["command_id"]):
            raise Violation("a cell reported as opened was opened", cell_id)


def _check_accepted(sim: RunState, request: Request, body: Any) -> None:
    """Check a command that was accepted: it was sent, and its key stands for it alone."""
    sent = {unlock.command_id for unlock in sim.memory.sent_unlocks}
    if (body["kind"], body["status"]) == ("unlock", "published") and body["command_id"] not in sent:
        raise Violation("an accepted command was sent", body)
    made = sim.memory.made_by_key
    if request.key and made.setdefault(request.key, body["command_id"]) != body["command_id"]:
        raise Violation("one key makes one command", request)
    booking_id = dict(request.parameters).get("booking_id")
    if body["booking_id"] != booking_id:
        raise Violation("an accepted command is that of its booking", body)


def _check_not_pending(sim: RunState, request: Request) -> None:
    """Check that no command stays pending after 503, unless another call left it so."""
    if any(call.name.startswith("unlock") and call.state != "done" for call in sim.calls):
        return
    unanswered = {(other.resource, other.parameters) for other in sim.memory.unanswered}
    if (request.resource, request.parameters) in unanswered:
        return
    rows = sim.database.query(
        """SELECT command_id::text AS command_id FROM commands
            WHERE booking_id::text = %(id)s AND status = 'pending'""",
        id=dict(request.parameters).get("booking_id"),
    )
    if rows:
        raise Violation("a command that was not sent is not pending", rows[0])


def _inferred(sim: RunState, command_id: str) -> bool:
    sql = "SELECT inferred FROM commands WHERE command_id::text = %(id)s"
    return bool(sim.database.query(sql, id=command_id)[0]["inferred"])


def _cabinet_of(sim: RunState, booking_id: str) -> str:
    return next(b.cabinet_id for b in sim.memory.bookings if b.booking_id == booking_id)
