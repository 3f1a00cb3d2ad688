"""Deliberate bugs in the service: a simulation that does not find them proves nothing.

Each is applied while it runs: a function replaced, or words of a statement changed.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import pytest

from functions.mqtt_trigger import main as trigger
from shared import db
from shared.errors import DatabaseUnavailable
from shared.repo import accumulators, anomalies, bookings, cabinets, commands, idempotency
from shared.services import (
    booking,
    dispatch,
    evidence,
    holds,
    inference,
    ingest,
    settlement,
    swap,
    unlock,
    world,
)

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], object]


def rewrite(patch: Patch, place: Any, name: str, old: str, new: str) -> object:
    """Compile a function anew with other words in its source."""
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
    """The modules that know a function by its name."""
    return [
        module
        for module_name, module in list(sys.modules.items())
        if module_name.startswith(("shared", "functions"))
        and getattr(module, getattr(original, "__name__", ""), None) is original
    ]


def _all(*_: object) -> None:
    """Several words at once."""


MUTATIONS: dict[str, Mutation] = {
    "the cabinet is not locked": lambda p: _all(
        rewrite(p, cabinets, "lock", "FOR UPDATE", ""),
        rewrite(p, cabinets, "lock_one", "FOR UPDATE", ""),
    ),
    "stale seq is applied": lambda p: rewrite(
        p, evidence, "look", "if position <= cabinet.position(cell):", "if False:"
    ),
    "an overtaken report is applied": lambda p: _all(
        rewrite(
            p,
            ingest,
            "_take_report",
            "if position <= (cabinet.report_boot_no, cabinet.report_seq):",
            "if False:",
        ),
        rewrite(p, evidence, "look", "if position <= cabinet.position(cell):", "if False:"),
    ),
    "an older generation is believed": lambda p: _all(
        rewrite(p, ingest, "_take", "if boot_no < cabinet.boot_no:", "if False:"),
        rewrite(p, evidence, "look", "if position <= cabinet.position(cell):", "if False:"),
        rewrite(
            p,
            ingest,
            "_take_report",
            "if position <= (cabinet.report_boot_no, cabinet.report_seq):",
            "if False:",
        ),
    ),
    "the holds are forgotten at the time-out": lambda p: rewrite(
        p,
        commands,
        "give_up",
        "UPDATE commands SET status = 'no_answer'",
        """WITH forgotten AS (UPDATE booking_cells h SET state = 'released', finished = true
                 FROM commands c WHERE c.command_id = %(command_id)s
                  AND h.booking_id = c.booking_id AND NOT h.finished AND c.deadline <= now())
           UPDATE commands SET status = 'no_answer'""",
    ),
    "sent again without proof": lambda p: rewrite(
        p,
        unlock,
        "_ask_cabinet",
        "command = ReportState()",
        """with db.transaction() as tx:
        commands.settle(tx, step.command_id, status="not_executed", since=("no_answer",))
        tx.execute("UPDATE bookings SET status = 'active' WHERE status = 'unlocking'"
                   " AND command_id = %(id)s", {"id": step.command_id})
    return
    command = ReportState()""",
    ),
    "a late answer is applied twice": lambda p: rewrite(
        p,
        settlement,
        "settle",
        'if command.status not in {*IN_DOUBT, "not_executed", "not_published"}:',
        "if False:",
    ),
    "a spontaneous report is a proof": lambda p: rewrite(
        p,
        inference,
        "infer",
        "proof = asked_at is not None and asked_at > sent_by",
        "proof = True",
    ),
    "a report asked for before is a proof": lambda p: rewrite(
        p,
        inference,
        "infer",
        "proof = asked_at is not None and asked_at > sent_by",
        "proof = asked_at is not None",
    ),
    "what may be sent still is taken for sent": lambda p: rewrite(
        p,
        inference,
        "_last_chance",
        "made + 2 * (deadline - made) + timedelta(seconds=30)",
        "deadline",
    ),
    "what is held elsewhere is not known": lambda p: rewrite(
        p, world.World, "load", "{*accumulator_ids, *held}", "accumulator_ids"
    ),
    "a generation that was overtaken stays unheard": lambda p: rewrite(
        p,
        world.World,
        "boot",
        "alive = answers is not None and since is not None and answers > since",
        "alive = False",
    ),
    "a reconciled swap is not known again": lambda p: rewrite(
        p, swap, "_recorded", " or wanted or request.reconcile", ""
    ),
    "a cell that is not reported is empty": lambda p: rewrite(
        p, evidence, "forget", 'content="unknown"', 'content="empty"'
    ),
    "bookings do not expire": lambda p: p.setattr(
        bookings, "_EXPIRE", bookings._EXPIRE.replace("b.expires_at <= now()", "false")
    ),
    "bookings expire while they are being unlocked": lambda p: p.setattr(
        bookings, "_EXPIRE", bookings._EXPIRE.replace("AND b.status <> 'unlocking'", "")
    ),
    "settled without moving": lambda p: rewrite(
        p, settlement, "_opened", "if back or world.occupant(cell) is not left:", "if True:"
    ),
    "an answer of another cabinet counts": lambda p: rewrite(
        p,
        ingest,
        "_settle",
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
    "the same swap twice is two": lambda p: rewrite(
        p,
        swap,
        "_recorded",
        "return last if to_bag == wanted and is_his else None",
        "return None",
    ),
    "what is in a scooter is read before it is locked": lambda p: _all(
        rewrite(p, accumulators, "lock_scooter", "tx.execute", "(lambda *_: None)"),
        rewrite(p, db.Tx, "mark", "self.write", "(lambda *_: None)"),
        rewrite(p, swap, "_lock", ' if i in named or row["scooter_id"] == at', ""),
    ),
    "a swap is not known by its id": lambda p: rewrite(
        p,
        swap,
        "_recorded",
        "own = accumulators.moved_by_swap(tx, swap_id, request.installed_accumulator_id)",
        "own = None",
    ),
    "a swap moves only one": lambda p: rewrite(
        p,
        swap,
        "_moves",
        "ways[request.removed_accumulator_id] = (scooter, bag)",
        "rows = {request.installed_accumulator_id: rows[request.installed_accumulator_id]}",
    ),
    "an unknown accumulator is in service": lambda p: rewrite(
        p, world.World, "register", 'status="quarantined"', 'status="in_service"'
    ),
    "the cells are released at no_answer": lambda p: rewrite(
        p,
        commands,
        "give_up",
        "UPDATE commands SET status = 'no_answer'",
        """WITH back AS (UPDATE bookings b SET status = 'active' FROM commands c
                          WHERE c.command_id = %(command_id)s AND b.booking_id = c.booking_id
                            AND b.status = 'unlocking' AND c.deadline <= now())
           UPDATE commands SET status = 'no_answer'""",
    ),
    "messages are lost when the database fails": lambda p: _swallow(p),  # noqa: PLW0108 - defined below
    "what cannot be read is dropped": lambda p: rewrite(
        p, ingest, "_open", 'world.note("malformed", str(error))', "pass"
    ),
    "what a removed cabinet has said is dropped": lambda p: rewrite(
        p, ingest, "apply", 'world.note("unknown_device", letter.envelope.device_id)', "pass"
    ),
    "a removed cabinet is named by what it has said": lambda p: rewrite(
        p,
        anomalies,
        "insert",
        """(SELECT c.cabinet_id FROM cabinets c
                                            WHERE c.cabinet_id = t.cabinet_id FOR KEY SHARE)""",
        "t.cabinet_id",
    ),
    "a batch does not lock the cabinet that it cannot read": lambda p: rewrite(
        p, ingest, "_load", 'anomaly["cabinet_id"] for anomaly in world.anomalies', "None"
    ),
    "what another command lets out is held no more": lambda p: rewrite(
        p,
        settlement,
        "_unasked",
        "_count_instead(booking, occupant, result)",
        """_count_instead(booking, occupant, result)
        for _, hold in world.held(cabinet.cabinet_id):
            if hold.accumulator_id == occupant.accumulator_id:
                hold.become("released", finished=True, reason="moved")""",
    ),
    "a batch locks cabinets as it meets them": lambda p: rewrite(
        p, ingest, "_load", "tx.go_back()", "pass"
    ),
    "what an unlock in doubt let out is taken for two": lambda p: rewrite(
        p, evidence, "_contradict", "if _commanded(world, home):", "if False:"
    ),
    "a transaction goes on over another connection": lambda p: rewrite(
        p,
        db.Tx,
        "_run",
        "    self._cursor.execute(message)\n        return",
        """    try:
            self._cursor.execute(message)
        except psycopg2.OperationalError:
            if not self._cursor.connection.closed:
                raise
            self._cursor = _connected().cursor()
            self._cursor.execute(_BEGIN.encode() + message)
        return""",
    ),
    "an unlock is sure that its cabinet is there": lambda p: rewrite(
        p, cabinets, "lock_of_booking", "tx.first", "tx.one"
    ),
    "what is active again after its time is in the way": lambda p: rewrite(
        p, holds, "refill", "bookings.expire_due(tx, [cabinet_id])", "pass"
    ),
    "a swap does not lock the cabinet that an accumulator came into": lambda p: rewrite(
        p, swap, "_lock", "request.reconcile and came", "False"
    ),
    "a swap does not lock the cabinet that holds what it takes": lambda p: rewrite(
        p, swap, "_attempt_lock", "bookings.cabinets_holding(tx, wanted)", "set()"
    ),
    "messages are taken before they are applied": lambda p: rewrite(
        p, ingest, "apply", "for letter in letters:", "for letter in letters[:1]:"
    ),
    "what is still in its cell stays with the contractor": lambda p: rewrite(
        p, evidence, "_arrive", "if found.place == here:", "if found.place.contractor_id:"
    ),
    "what was returned elsewhere is seen in its open cell again": lambda p: rewrite(
        p, evidence, "_being_collected", 'hold.state == "opened"', "False"
    ),
    "who had a door open is forgotten when it closes": lambda p: rewrite(
        p, evidence, "judge", " and not (doubts and may_have_left(world, sight.cell))", ""
    ),
    "who had a door open is forgotten when it is opened again": lambda p: rewrite(
        p, settlement, "_move_door", "(newer or may_have_left(world, cell))", "newer"
    ),
    "what has gone stays in its cell": lambda p: rewrite(
        p, evidence, "_depart", "if gone is None or", "if True or"
    ),
    "a booking can be cancelled while it is unlocked": lambda p: rewrite(
        p,
        booking,
        "cancel",
        'found.status != "active"',
        'found.status not in {"active", "unlocking"}',
    ),
    "a key is not kept": lambda p: rewrite(
        p, idempotency, "claim", "ELSE k.request_id END", "ELSE excluded.request_id END"
    ),
    "a refused command was executed": lambda p: rewrite(
        p, settlement, "settle", "if outcome.refusal is not None:", "if False:"
    ),
    "a movement is not in the ledger": lambda p: rewrite(
        p, accumulators, "move", "ORDER BY t.n", "WHERE t.cause <> 'not_collected' ORDER BY t.n"
    ),
    "a publication that failed is forgotten": lambda p: rewrite(
        p, dispatch, "deliver", '_take_back(tx, command_id, cabinet["cabinet_id"])', "pass"
    ),
}


def _swallow(patch: Patch) -> None:
    """The trigger acknowledges whatever happens."""
    handler = trigger.handler

    def careless(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        except DatabaseUnavailable:
            return {}

    patch.setattr(trigger, "handler", careless)
