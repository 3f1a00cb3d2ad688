"""Checks at the end of a call, a commit or a publication, against the physical truth."""

from typing import Any

from shared.db import Row
from shared.evidence.order import MAX_DELAY
from tests.simulation.backend import Request, Response
from tests.simulation.calls import Call, Killed
from tests.simulation.checks import CELLS, overtaken
from tests.simulation.memory import KnownBooking, SentUnlock, Violation
from tests.simulation.network import Message, Publication, describe, message_of
from tests.simulation.state import RunState
from tests.simulation.world import CellId

TTL_S = 15
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
    if request.swap is not None:
        _check_swap(sim, request.swap, call)
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


def _check_swap(sim: RunState, index: int, call: Call) -> None:
    response: Response | None = call.result
    if response is None or response.status == 503:
        if call.commits:
            _note_outdated(sim, index)
        return
    if response.replayed:
        return
    known = sim.memory.swap_ids.get(index)
    if response.status == 200:
        sim.memory.swap_ids[index] = response.body["swap_id"]
        _note_swap(sim, index)
    elif response.status == 409 and known is not None and not _has_duplicate(sim, index):
        last = sim.database.query(
            """SELECT DISTINCT ON (accumulator_id) swap_id::text AS swap_id FROM movements
                WHERE accumulator_id = ANY (%(ids)s)
                ORDER BY accumulator_id, movement_id DESC""",
            ids=list(sim.memory.swaps[index][2:]),
        )
        if all(row["swap_id"] == known for row in last):
            raise Violation("I3 a repeated swap gets the same response", response)


def _has_duplicate(sim: RunState, index: int) -> bool:
    return bool({*sim.memory.swaps[index][2:]} & sim.world.duplicated_ids)


def _note_swap(sim: RunState, index: int) -> None:
    """Note that a swap was recorded: the places that it reports are expected."""
    is_retry = index in sim.memory.confirmed
    sim.memory.confirmed.add(index)
    if not _note_outdated(sim, index) and not is_retry:
        for accumulator_id, place in _reported_places(sim, index).items():
            is_certain = accumulator_id not in sim.world.uncertain
            sim.world.expected_places[accumulator_id] = place if is_certain else None


def _note_outdated(sim: RunState, index: int) -> bool:
    """Note the places that become uncertain if a swap is recorded after its accumulators moved on.

    Return whether there are any.
    """
    _, scooter, installed, _ = sim.memory.swaps[index]
    places, expected = sim.world.places(), sim.world.expected_places
    reported = _reported_places(sim, index)
    if all(places[id_] == place for id_, place in reported.items()):
        return False
    sim.memory.mark_overtaken({*reported})
    uncertain = {*reported} | {i for i, place in expected.items() if place == scooter}
    uncertain |= _displaced(sim, scooter, installed)
    expected.update(dict.fromkeys(uncertain))
    sim.world.uncertain |= uncertain
    return True


def _reported_places(sim: RunState, index: int) -> dict[str, str]:
    """Return the accumulators that a swap's report names, and their reported places."""
    contractor, scooter, installed, removed = sim.memory.swaps[index]
    return {installed: scooter} | ({removed: contractor} if removed else {})


def _displaced(sim: RunState, scooter: str, installed: str) -> set[str]:
    """Return the accumulators that the records move out of a scooter because of a swap."""
    rows = sim.database.query(
        """SELECT accumulator_id FROM movements
            WHERE from_scooter_id = %(scooter)s AND swap_id IN (
                  SELECT swap_id FROM movements
                   WHERE accumulator_id = %(installed)s AND to_scooter_id = %(scooter)s)""",
        scooter=scooter,
        installed=installed,
    )
    return {row["accumulator_id"] for row in rows}


def batch_ended(sim: RunState, call: Call, batch: list[Message]) -> None:
    """Check a batch that the trigger has processed, or queue it again if the trigger failed."""
    call_ended(sim, call)
    if call.failed:
        sim.network.inbox[:0] = batch
        return
    if not call.commits:
        raise Violation("I5 no message disappears", "a batch was taken and nothing committed")
    late = [record for record in batch if sim.network.is_late(record)]
    for record in late:
        sim.mark_overtaken(record)
    sim.network.delivered += batch
    for record in batch:
        message = message_of(record)
        if message.get("type") == "command_result":
            _check_settled(sim, record["details"]["device_id"], message)
        if message.get("type") == "state_report" and record not in late:
            _check_answered(sim, record["details"]["device_id"], message)


def batch_committed(sim: RunState, batch: list[Message]) -> None:
    """On the call's thread: check what a batch has changed."""
    _check_anomalies(sim, batch)
    _check_order(sim, batch)
    _check_last_wills(sim, batch)
    _decide_pulls(sim, batch)


def _check_anomalies(sim: RunState, batch: list[Message]) -> None:
    """Check that messages that were not applied are kept as anomalies: the last one of each device.

    An anomaly that occurs again replaces the message that was kept before.
    """
    registered = {row["device_id"] for row in sim.database.query("SELECT device_id FROM cabinets")}
    not_applied = {
        record["details"]["device_id"]: record
        for record in batch
        if record["details"]["device_id"] not in registered or "type" not in message_of(record)
    }
    anomalies = sim.database.query("SELECT event_id FROM anomalies") if not_applied else []
    stored = {row["event_id"] for row in anomalies}
    for record in not_applied.values():
        if record["event_metadata"]["event_id"] not in stored:
            sim.violations.append(Violation("I5 no message disappears", describe(record)))


def _check_order(sim: RunState, batch: list[Message]) -> None:
    """I7: a cell's evidence is never replaced by an older message, whatever its number."""
    sent = [(record["details"]["device_id"], message_of(record)) for record in batch]
    rows = sim.database.query(
        f"{CELLS} WHERE c.cabinet_id = ANY (%(ids)s)",  # a constant
        ids=sorted({cabinet_id for cabinet_id, _ in sent}),
    )
    for row in rows:
        cell_id = CellId(row["cabinet_id"], row["cell_number"])
        boot_no, seq = (int(part) for part in row["position"].strip("()").split(","))
        position, newest = sim.memory.evidence.get(cell_id, ((0, -1), 0))
        if (boot_no, seq) == position:
            continue
        key = (row["cabinet_id"], row["boot_id"], seq)
        numbers = [
            number
            for number, message in sim.world.sent_messages.get(key, ())
            if message["type"] in {"state_report", "cell_event"}
            and (row["cabinet_id"], message) in sent
        ]
        sim.memory.evidence[cell_id] = ((boot_no, seq), max([newest, *numbers]))
        cannot_know = boot_no == position[0] and _may_follow_unknown_restart(sim, row, seq)
        is_older = bool(numbers) and max(numbers) < newest
        if is_older and not cannot_know and not overtaken(sim, row["cabinet_id"], now=True):
            detail = f"{cell_id} by {row['boot_id']}, seq {seq}"
            sim.violations.append(Violation("I7 older evidence never overwrites newer", detail))


def _may_follow_unknown_restart(sim: RunState, row: Row, seq: int) -> bool:
    """Whether the numbering may have restarted, and nothing has proved it yet."""
    restart_seq = row["restart_seq"]
    is_trusted = restart_seq is None or seq + MAX_DELAY < restart_seq
    return row["cabinet_id"] in sim.world.misnumbered and is_trusted


def _check_last_wills(sim: RunState, batch: list[Message]) -> None:
    """A cabinet is offline if its latest connection is lost and nothing was heard since.

    If its numbering is broken, the service may not know which connection is the latest.
    """
    cabinet_ids = set()
    for record in batch:
        message = message_of(record)
        if "boot_id" in message:
            cabinet_ids.add(record["details"]["device_id"])
            _note_connection(sim, record["details"]["device_id"], message)
    rows = sim.database.query(
        "SELECT cabinet_id, signed_off FROM cabinets WHERE cabinet_id = ANY (%(ids)s)",
        ids=sorted(cabinet_ids),
    )
    for row in rows:
        cabinet_id = row["cabinet_id"]
        is_certain = cabinet_id not in sim.world.misnumbered and not overtaken(sim, cabinet_id)
        if is_certain and row["signed_off"] != (cabinet_id in sim.memory.signed_off):
            rule = "a cabinet is offline once its latest connection is lost"
            sim.violations.append(Violation(rule, row))


def _note_connection(sim: RunState, cabinet_id: str, message: Message) -> None:
    """Note what a message says about its cabinet's connection."""
    memory = sim.memory
    boot, newest_boot = _number(message["boot_id"]), memory.newest_boots.get(cabinet_id, 0)
    newest_session = memory.newest_sessions.get(cabinet_id, 0)
    if message["type"] != "goodbye":
        memory.signed_off.discard(cabinet_id)
        memory.newest_boots[cabinet_id] = max(newest_boot, boot)
    elif (boot, _number(message["session"])) == (newest_boot, newest_session):
        memory.signed_off.add(cabinet_id)
    if message["type"] == "hello":
        memory.newest_sessions[cabinet_id] = max(newest_session, _number(message["session"]))


def _number(name: str) -> int:
    """Return the number in `b-2-…` or `s-2-…`."""
    return int(name.split("-")[1])


def _decide_pulls(sim: RunState, batch: list[Message]) -> None:
    """Decide whether the service must know who took an accumulator by a door that was pulled open.

    It must if it applied a message about the cell in time: after the failure was recorded, within
    the reconcile window, and before another command for the cell.
    """
    cabinet_ids = {record["details"]["device_id"] for record in batch}
    for taken in [*sim.world.taken_after_pull.values()]:
        if taken.cell_id.cabinet_id not in cabinet_ids:
            continue
        _, seen = sim.memory.evidence.get(taken.cell_id, (None, 0))
        if is_too_late_to_credit(sim, taken.command_id, taken.cell_id):
            sim.world.expected_places[taken.accumulator_id] = None
        elif not (taken.is_settled and seen > taken.sent):
            taken.is_settled = _is_settled(sim, taken.command_id)
            continue
        del sim.world.taken_after_pull[taken.accumulator_id]


def _is_settled(sim: RunState, command_id: str) -> bool:
    sql = "SELECT status FROM commands WHERE command_id::text = %(id)s"
    return any(
        row["status"] not in {"pending", "published", "no_answer", "unresolved"}
        for row in sim.database.query(sql, id=command_id)
    )


def is_too_late_to_credit(sim: RunState, command_id: str, cell_id: CellId) -> bool:
    """Whether evidence of now no longer shows that the command has opened the cell."""
    rows = sim.database.query(
        """SELECT now() - c.created_at >= make_interval(secs => 300) OR EXISTS (
                  SELECT FROM commands o
                   WHERE o.cabinet_id = c.cabinet_id AND o.created_at > c.created_at
                     AND o.payload -> 'cells' @> to_jsonb(%(number)s::int)) AS is_late
             FROM commands c WHERE command_id::text = %(id)s""",
        id=command_id,
        number=cell_id.number,
    )
    return not rows or rows[0]["is_late"]


def _check_settled(sim: RunState, cabinet_id: str, message: Message) -> None:
    rows = sim.database.query(
        """SELECT kind, status, result FROM commands
            WHERE command_id::text = %(id)s AND cabinet_id = %(cabinet_id)s""",
        id=message["command_id"],
        cabinet_id=cabinet_id,
    )
    stored = [(c["cell_number"], c["result"]) for row in rows for c in row["result"] or []]
    done = [
        (c["cell_number"], c["result"]) for c in message.get("cells", []) if c["result"] == "opened"
    ]
    is_done_unlock = bool(rows) and rows[0]["kind"] == "unlock" and message["status"] == "done"
    if is_done_unlock and not {*done} <= {*stored}:
        raise Violation("I5 a result settles each of its cells", message)
    if rows and rows[0]["status"] in {"pending", "published", "no_answer"}:
        raise Violation("I5 a result settles its command", message)
    if message["command_id"] in sim.memory.with_invented_result:
        return
    if rows and message["status"] != "done" and rows[0]["status"] == "failed":
        raise Violation("a refused command does not fail its cells", message)


def _check_answered(sim: RunState, cabinet_id: str, message: Message) -> None:
    """Check that a report that shows all cells of its unlock open has settled it."""
    rows = sim.database.query(
        """SELECT status, payload -> 'cells' AS cells FROM commands
            WHERE command_id::text = %(id)s AND cabinet_id = %(cabinet_id)s AND kind = 'unlock'""",
        id=message.get("command_id"),
        cabinet_id=cabinet_id,
    )
    is_open = {cell["cell_number"] for cell in message["cells"] if cell["door"] == "open"}
    is_certain = cabinet_id not in sim.world.misnumbered and not overtaken(sim, cabinet_id)
    for row in rows if is_certain else []:
        if {*row["cells"]} <= is_open and row["status"] in {"pending", "published", "no_answer"}:
            raise Violation("I5 a report settles the unlock that it answers", message)


def command_published(sim: RunState, publication: Publication) -> None:
    """On the call's thread, before a command is sent: check that no door is opened twice."""
    command = publication.command
    if command["kind"] != "unlock":
        return
    [row] = sim.database.query(
        "SELECT booking_id::text AS booking_id FROM commands WHERE command_id::text = %(id)s",
        id=command["command_id"],
    )
    cabinet_id = publication.device_id or ""
    rows = sim.database.query(
        "SELECT cell_number, accumulator_id FROM accumulators WHERE cabinet_id = %(cabinet_id)s",
        cabinet_id=cabinet_id,
    )
    recorded = {row["cell_number"]: row["accumulator_id"] for row in rows}
    sent = SentUnlock(
        command["command_id"],
        row["booking_id"],
        cabinet_id,
        {n: {sim.world.content(CellId(cabinet_id, n)), recorded.get(n)} for n in command["cells"]},
        sim.clock.now().timestamp(),
    )
    if row["booking_id"] is not None:
        for earlier in sim.memory.sent_unlocks:
            if earlier.booking_id == sent.booking_id:
                _check_not_doubled(sim, earlier, sent)
    sim.memory.sent_unlocks.append(sent)


def _check_not_doubled(sim: RunState, earlier: SentUnlock, sent: SentUnlock) -> None:
    age = sent.at - earlier.at
    honours_ttl = sim.world.cabinets[sent.cabinet_id].hardware.firmware.honours_ttl
    may_arrive = sim.network.in_flight(earlier.command_id) and not (honours_ttl and age > TTL_S)
    opened = sim.world.executed.get(earlier.command_id, set())
    for number in earlier.contents.keys() & sent.contents.keys():
        cell_id = CellId(sent.cabinet_id, number)
        undone = earlier.contents[number] & _contents_when_closed(sim, earlier.command_id, cell_id)
        if cell_id in sim.world.misreported or (earlier.command_id, cell_id) in sim.world.pulled:
            continue
        if may_arrive or (number in opened and not undone):
            detail = f"{cell_id} by {earlier.command_id} and {sent.command_id}"
            sim.violations.append(Violation("I4 no door is opened twice for one booking", detail))


def _contents_when_closed(sim: RunState, command_id: str, cell_id: CellId) -> set[str | None]:
    """Return what was in a closed cell: now, and when it was closed after that command."""
    cell = sim.world.cabinets[cell_id.cabinet_id].hardware.cells[cell_id.number]
    now = {sim.world.content(cell_id)} if cell.door == "closed" else set()
    left = sim.world.content_at_close
    return now | ({left[command_id, cell_id]} if (command_id, cell_id) in left else set())
