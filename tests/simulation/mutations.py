"""Deliberate bugs in the service, each of which the simulation must find.

Each is a patch of the running service: a function is replaced, or compiled with changed source.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import pytest

from functions.mqtt_trigger import main as trigger
from shared import db, holds, states
from shared.errors import DatabaseUnavailable
from shared.evidence import (
    cell_outcomes,
    claims,
    decode,
    infer,
    load,
    move,
    observe,
    order,
    pipeline,
    records,
    settle,
    unit_of_work,
)
from shared.repo import accumulators, anomalies, bookings, cabinets, commands, idempotency
from shared.services import (
    booking,
    custody,
    dispatch,
    imported_accumulators,
    imports,
    swap,
    transfers,
    unlock,
)

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], object]


def rewrite(patch: Patch, place: Any, name: str, old: str, new: str) -> object:
    """Compile a function with `new` instead of `old` in its source, and patch it in."""
    original = inspect.getattr_static(place, name)
    source = textwrap.dedent(inspect.getsource(original))
    if old not in source:
        raise LookupError(f"{name} no longer contains: {old}")
    module = place if isinstance(place, ModuleType) else inspect.getmodule(place)
    assert module is not None
    scope: dict[str, Any] = {}
    code = compile(source.replace(old, new), f"<mutated {name}>", "exec")
    exec(code, vars(module), scope)  # noqa: S102 - the project's own source, altered
    mutated = scope[name]
    assert isinstance(original, FunctionType)
    for user in _users(original) if isinstance(place, ModuleType) else [place]:
        patch.setattr(user, name, mutated)
    return mutated


def _users(original: object) -> list[ModuleType]:
    """Return the modules that have imported a function."""
    return [
        module
        for module_name, module in list(sys.modules.items())
        if module_name.startswith(("shared", "functions"))
        and getattr(module, getattr(original, "__name__", ""), None) is original
    ]


def _all(*_: object) -> None:
    """Combine several rewrites into one bug."""


def _acknowledge_failed_batches(patch: Patch) -> None:
    """Make the trigger acknowledge a batch even if the database fails."""
    handler = trigger.handler

    def acknowledging(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except DatabaseUnavailable:
            return {}

    patch.setattr(trigger, "handler", acknowledging)


MUTATIONS: dict[str, Mutation] = {
    "the cabinet is not locked": lambda p: _all(
        rewrite(p, cabinets, "lock", "FOR UPDATE", ""),
        rewrite(p, cabinets, "lock_one", "FOR UPDATE", ""),
    ),
    "an event with an older seq is applied": lambda p: rewrite(
        p, observe, "record_observations", "position <= cabinet.position(cell)", "False"
    ),
    "an overtaken report is applied": lambda p: _all(
        rewrite(
            p,
            pipeline,
            "_apply_report",
            "if position <= cabinet.report_position:",
            "if False:",
        ),
        rewrite(p, observe, "record_observations", "position <= cabinet.position(cell)", "False"),
    ),
    "messages of an older boot are applied": lambda p: _all(
        rewrite(p, pipeline, "_apply", "if not placed.is_current", "if False"),
        rewrite(p, observe, "record_observations", "position <= cabinet.position(cell)", "False"),
        rewrite(
            p,
            pipeline,
            "_apply_report",
            "if position <= cabinet.report_position:",
            "if False:",
        ),
    ),
    "holds are released when the command times out": lambda p: rewrite(
        p,
        commands,
        "time_out",
        "UPDATE commands SET status = %(target)s",
        """WITH forgotten AS (UPDATE booking_cells h SET state = 'released', finished = true
                 FROM commands c WHERE c.command_id = %(command_id)s
                  AND h.booking_id = c.booking_id AND NOT h.finished AND c.deadline <= now())
           UPDATE commands SET status = %(target)s""",
    ),
    "an unlock is sent again without proof": lambda p: rewrite(
        p,
        unlock,
        "_ask_for_report",
        "command = ReportState()",
        """with db.transaction() as tx:
        commands.finish(tx, step.command_id, "proved_not_executed")
        tx.execute("UPDATE bookings SET status = 'active' WHERE status = 'unlocking'"
                   " AND command_id = %(id)s", {"id": step.command_id})
    return
    command = ReportState()""",
    ),
    "a late result is applied twice": lambda p: _all(
        rewrite(
            p,
            settle,
            "settle",
            'if command.is_unsettled or command.status in {"not_executed", "not_published"}:',
            "if True:",
        ),
        rewrite(p, states.Machine, "after", "if state not in transition.sources:", "if False:"),
    ),
    "an unrequested report proves that a command was not executed": lambda p: rewrite(
        p,
        infer,
        "infer_outcomes",
        "is_proof = answered is not None and _was_sent_before(command, answered)",
        "is_proof = True",
    ),
    "a report requested before the command proves that it was not executed": lambda p: rewrite(
        p,
        infer,
        "infer_outcomes",
        "is_proof = answered is not None and _was_sent_before(command, answered)",
        "is_proof = answered is not None",
    ),
    "a command whose function is frozen counts as sent": lambda p: rewrite(
        p,
        infer,
        "_latest_publication",
        "created + 2 * (deadline - created) + timedelta(seconds=30)",
        "deadline",
    ),
    "held accumulators that are recorded elsewhere are not loaded": lambda p: rewrite(
        p, unit_of_work.UnitOfWork, "load", "held.union(", "set().union("
    ),
    "a boot whose first message was overtaken is never believed": lambda p: rewrite(
        p,
        order,
        "place",
        "(known < cabinet.boot_no and is_proved)",
        "False",
    ),
    "a repeated reconciled swap is recorded again": lambda p: _all(
        rewrite(p, swap, "_is_same", "is_two_sided or ", ""),
        rewrite(p, swap, "_came_from", ' or (request.reconcile and row["discrepancy"])', ""),
    ),
    "a numbering is taken for restarted without proof": lambda p: rewrite(
        p, order, "place", "is_newest = _is_after(asked_at, cabinet.applied_at)", "is_newest = True"
    ),
    "numbers from before a restart are trusted": lambda p: rewrite(
        p, order, "place", "restart_seq is None or is_newest or", "True or"
    ),
    "a restarted numbering is never believed": lambda p: rewrite(
        p, order, "place", "known == cabinet.boot_no and is_newest and", "False and"
    ),
    "a part of a result is applied again": lambda p: _all(
        rewrite(p, settle, "_is_news", 'stored["result"] != command.success and', "True and"),
        rewrite(p, records.Hold, "may_open_after", 'self.state == "held" or', "True or"),
        rewrite(p, states.Machine, "after", "if state not in transition.sources:", "if False:"),
        rewrite(
            p,
            cell_outcomes,
            "_open_hold",
            "uow.accumulator_in(cell) is issued or has_vanished",
            "True",
        ),
    ),
    "a later failure takes back that a cell has opened": lambda p: rewrite(
        p, settle, "_is_news", 'stored["result"] != command.success and', "True or"
    ),
    "only the first part of a result counts": lambda p: rewrite(
        p, settle, "settle", "_settle_further(uow, cabinet, command, outcome)", "return"
    ),
    "an outdated report moves an accumulator back": lambda p: rewrite(
        p, unit_of_work.UnitOfWork, "is_outdated", "cell.cabinet_id != by.cabinet_id", "False"
    ),
    "a late opening is that of an earlier command": lambda p: rewrite(
        p, unit_of_work.UnitOfWork, "failed_opening", "of_cell[-1]", "of_cell[0]"
    ),
    "an accumulator behind a door that opened after all has vanished": lambda p: rewrite(
        p, infer, "infer_late_openings", "if command is None:", "if True:"
    ),
    "a stale last will takes a cabinet offline": lambda p: rewrite(
        p, pipeline, "_apply_goodbye", "and message.session == cabinet.session", ""
    ),
    "a cabinet that was cut off stays offline": lambda p: rewrite(
        p,
        pipeline,
        "_apply",
        "cabinet.heard, cabinet.signed_off = True, False",
        "cabinet.heard = True",
    ),
    "a retired accumulator is issued when its door has opened after all": lambda p: rewrite(
        p, cell_outcomes, "_open_hold", "uow.quarantine_found(issued, cell)", "pass"
    ),
    "a door that the answering report showed as closed cannot open after all": lambda p: rewrite(
        p, settle, "settle_as_not_executed", "if is_answered:", "if False:"
    ),
    "a report that names an unlock is no answer to it": lambda p: rewrite(
        p, infer, "infer_outcomes", "command is not answered and", ""
    ),
    "an unreported cell counts as empty": lambda p: rewrite(
        p, observe, "mark_unreported_cells", 'content="unknown"', 'content="empty"'
    ),
    "bookings do not expire": lambda p: p.setattr(
        bookings, "_EXPIRE", bookings._EXPIRE.replace("b.expires_at <= now()", "false")
    ),
    "bookings expire while they are being unlocked": lambda p: p.setattr(
        bookings,
        "_EXPIRE",
        bookings._EXPIRE.replace("b.status = ANY (%(expirable)s)", "b.finished_at IS NULL").replace(
            "c.status = ANY (%(expired)s)", "true"
        ),
    ),
    "an issue is settled without moving its accumulator": lambda p: rewrite(
        p,
        cell_outcomes,
        "_open_hold",
        "if not_collected or not (uow.accumulator_in(cell) is issued or has_vanished):",
        "if True:",
    ),
    "a result from another cabinet is accepted": lambda p: rewrite(
        p,
        pipeline,
        "_apply_result",
        "elif command.cabinet_id != cabinet.cabinet_id:",
        "elif False:",
    ),
    "the same accumulator is issued twice": lambda p: rewrite(
        p,
        bookings,
        "hold",
        "JOIN stock s USING (cabinet_id)",
        """JOIN (SELECT s.cabinet_id, s.cell_number, s.accumulator_id, s.battery_charge,
                      s.issuable OR s.booking_id IS NOT NULL AS issuable, s.free FROM stock s) s
           USING (cabinet_id)""",
    ),
    "a swap reported twice is recorded twice": lambda p: rewrite(
        p,
        swap,
        "_recorded",
        "return earlier if _is_same(request, earlier) else []",
        "return []",
    ),
    "the accumulators of a scooter are read before they are locked": lambda p: _all(
        rewrite(p, accumulators, "lock_scooter", "tx.execute", "(lambda *_: None)"),
        rewrite(p, db.Tx, "savepoint", "self.queue", "(lambda *_: None)"),
        rewrite(p, swap, "_lock", ' if i in named or row["scooter_id"] == at', ""),
    ),
    "a retried swap is not recognized by its id": lambda p: rewrite(
        p,
        swap,
        "_recorded",
        "own = accumulators.moved_by_swap(tx, swap_id)",
        "own = []",
    ),
    "a swap moves only the installed accumulator": lambda p: rewrite(
        p,
        swap,
        "_moves",
        "ways[request.removed_accumulator_id] = (scooter, bag)",
        "del ways[request.removed_accumulator_id]",
    ),
    "a removal reported twice is recorded twice": lambda p: rewrite(
        p, swap, "_recorded", "if _is_same(", "if request.installed_accumulator_id and _is_same("
    ),
    "a transfer reported twice is recorded twice": lambda p: rewrite(
        p, transfers, "_recorded", "return earlier if is_same else []", "return []"
    ),
    "a transfer moves only its first accumulator": lambda p: rewrite(
        p, transfers, "_moves", "in request.accumulator_ids", "in request.accumulator_ids[:1]"
    ),
    "an unknown accumulator is in service": lambda p: rewrite(
        p,
        unit_of_work.UnitOfWork,
        "register",
        'status="in_service" if is_enrolled else "quarantined"',
        'status="in_service"',
    ),
    "a cabinet that lies is never suspect": lambda p: rewrite(
        p, claims, "decide", "< uow.limits.claims_per_hour", ">= 0"
    ),
    "a boot that is not kept counts as new": lambda p: rewrite(
        p, order, "place", "uow.has_folded_boots(cabinet)", "False"
    ),
    "an enrolment does not end": lambda p: rewrite(
        p, cabinets, "lock", "enrol_until > now()", "enrol_until IS NOT NULL"
    ),
    "an import moves what evidence has placed": lambda p: rewrite(
        p,
        imported_accumulators,
        "_after",
        'request.accumulator_id in observed or before["cabinet_id"] is not None',
        "False",
    ),
    "a dry run imports": lambda p: rewrite(
        p, imports, "_try_to_run", "if not request.dry_run:", "if True:"
    ),
    "the booking becomes active again at no_answer": lambda p: rewrite(
        p,
        commands,
        "time_out",
        "UPDATE commands SET status = %(target)s",
        """WITH back AS (UPDATE bookings b SET status = 'active' FROM commands c
                          WHERE c.command_id = %(command_id)s AND b.booking_id = c.booking_id
                            AND b.status = 'unlocking' AND c.deadline <= now())
           UPDATE commands SET status = %(target)s""",
    ),
    "a command that nobody waits for does not time out": lambda p: rewrite(
        p, commands, "time_out_overdue", "deadline <= now()", "false"
    ),
    "messages are lost when the database fails": _acknowledge_failed_batches,
    "a malformed message is dropped": lambda p: rewrite(
        p, decode, "decode", 'uow.add_anomaly("malformed", str(error))', "pass"
    ),
    "a message of a removed cabinet is dropped": lambda p: rewrite(
        p,
        pipeline,
        "_apply_all",
        'uow.add_anomaly("unknown_device", message.raw.device_id)',
        "pass",
    ),
    "an anomaly refers to a removed cabinet": lambda p: rewrite(
        p,
        anomalies,
        "add",
        """(SELECT c.cabinet_id FROM cabinets c
                     WHERE c.cabinet_id = ranked.cabinet_id FOR KEY SHARE)""",
        "ranked.cabinet_id",
    ),
    "a batch does not lock the sender of a malformed message": lambda p: rewrite(
        p, load, "load", 'anomaly["cabinet_id"] for anomaly in uow.anomalies', "None"
    ),
    "a hold ends when another command releases its accumulator": lambda p: rewrite(
        p,
        cell_outcomes,
        "_apply_unasked",
        "_count_as_issued(uow, booking, occupant, result)",
        """_count_as_issued(uow, booking, occupant, result)
        for other, hold in uow.unfinished_holds(cabinet.cabinet_id):
            if hold.accumulator_id == occupant.accumulator_id:
                uow.advance_hold(other, hold, "released", reason="moved")""",
    ),
    "a batch locks cabinets out of order": lambda p: rewrite(
        p, load, "load", "tx.rollback_to_savepoint()", "pass"
    ),
    "an accumulator released by an unsettled unlock counts as a duplicate": lambda p: rewrite(
        p, move, "_resolve_contradiction", "if uow.may_have_been_opened(other_cell):", "if False:"
    ),
    "a transaction continues on a new connection": lambda p: rewrite(
        p,
        db.Tx,
        "_run",
        "    self._cursor.execute(message)\n        return",
        """    try:
            self._cursor.execute(message)
        except psycopg2.OperationalError:
            if not self._cursor.connection.closed:
                raise
            self._cursor = _connect().cursor()
            self._cursor.execute(_BEGIN.encode() + message)
        return""",
    ),
    "an unlock does not expect a removed cabinet": lambda p: rewrite(
        p, cabinets, "lock_of_booking", "tx.first", "tx.one"
    ),
    "a booking that is active again after its expiry blocks a refill": lambda p: rewrite(
        p, holds, "refill", "bookings.expire_due(tx, [cabinet_id])", "pass"
    ),
    "a swap does not lock the cabinet that an accumulator has entered": lambda p: rewrite(
        p, custody, "_try_lock", "reconcile and entered", "False"
    ),
    "a swap does not lock the cabinet of a booking that holds its accumulator": lambda p: rewrite(
        p, custody, "_try_lock", "bookings.cabinets_holding(tx, wanted)", "set()"
    ),
    "a batch is acknowledged after its first message": lambda p: rewrite(
        p, pipeline, "_apply_all", "for message in received:", "for message in received[:1]:"
    ),
    "an issued accumulator seen in its cell stays with the contractor": lambda p: rewrite(
        p,
        move,
        "_record_arrival",
        "arrival.place == cell.location:",
        "arrival.place == cell.location or arrival.issued_by:",
    ),
    "an accumulator returned elsewhere is recorded in its open cell again": lambda p: rewrite(
        p, observe, "_is_being_collected", 'hold.state == "opened"', "False"
    ),
    "the opener of a door is forgotten when it closes": lambda p: rewrite(
        p, move, "_forget_opener", " and not (unsettled and uow.differs_from_records(cell))", ""
    ),
    "the opener of a door is forgotten when it opens again": lambda p: rewrite(
        p,
        cell_outcomes,
        "_record_door",
        "(superseded or uow.differs_from_records(cell))",
        "superseded",
    ),
    "a removed accumulator stays recorded in its cell": lambda p: rewrite(
        p, move, "_record_departure", "if gone is None or", "if True or"
    ),
    "a booking can be cancelled while it is unlocked": lambda p: _all(
        rewrite(
            p,
            booking,
            "cancel",
            'found.status != "active"',
            'found.status not in {"active", "unlocking"}',
        ),
        rewrite(p, bookings, "finish", "status = ANY (%(sources)s)", "finished_at IS NULL"),
    ),
    "an idempotency key is not stored": lambda p: rewrite(
        p, idempotency, "claim", "ELSE k.request_id END", "ELSE excluded.request_id END"
    ),
    "a refused command counts as executed": lambda p: rewrite(
        p, settle, "_settle_first", "if outcome.refusal is not None:", "if False:"
    ),
    "a movement is missing from the ledger": lambda p: rewrite(
        p, accumulators, "move", "ORDER BY t.n", "WHERE t.cause <> 'not_collected' ORDER BY t.n"
    ),
    "a failed publication is not recorded": lambda p: rewrite(
        p, dispatch, "publish", '_mark_not_published(tx, command_id, cabinet["cabinet_id"])', "pass"
    ),
}
