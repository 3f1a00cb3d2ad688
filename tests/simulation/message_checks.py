"""Checks of messages, against the physical truth: a batch of events, or a command that is sent."""

from shared.db import Row
from shared.evidence.order import MAX_DELAY
from tests.simulation.call_checks import call_ended
from tests.simulation.calls import Call
from tests.simulation.checks import CELLS, boots, may_be_unproved, overtaken
from tests.simulation.memory import SentUnlock, Violation
from tests.simulation.network import Message, Publication, describe, message_of
from tests.simulation.state import RunState
from tests.simulation.world import CellId

TTL_S = 15


def batch_ended(sim: RunState, call: Call, batch: list[Message]) -> None:
    """Check a batch that the trigger has processed, or queue it again if the trigger failed."""
    call_ended(sim, call)
    sim.network.batches = [one for one in sim.network.batches if one is not batch]
    if call.failed:
        sim.network.inbox[:0] = batch
        return
    if not call.commits:
        raise Violation("I5 no message disappears", "a batch was taken and nothing committed")
    late = [record for n, record in enumerate(batch) if sim.network.is_late(record, batch[:n])]
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
    misled = {cabinet_id for cabinet_id in dict(sent) if _was_misled(sim, cabinet_id)}
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
        if is_older and not cannot_know and row["cabinet_id"] not in misled:
            detail = f"{cell_id} by {row['boot_id']}, seq {seq}"
            sim.violations.append(Violation("I7 older evidence never overwrites newer", detail))


def _was_misled(sim: RunState, cabinet_id: str) -> bool:
    """Whether the service took an earlier boot for a later one before, in or after this batch."""
    overtaken(sim, cabinet_id)  # noted before the boots are folded that show it
    before = sim.memory.boots.get(cabinet_id, [])
    after = [*boots(sim, cabinet_id).values()]
    sim.memory.boots[cabinet_id] = after
    known = sim.memory.known_boots.setdefault(cabinet_id, set())
    if known & ({*after} - {*before}):
        rule = "I7 a boot that is not kept is not taken for a new one"
        sim.violations.append(Violation(rule, f"{cabinet_id}: {before}, then {after}"))
    known |= {*after}
    is_late = any(boot < max(before, default=0) for boot in {*after} - {*before})
    return is_late or before != sorted(before) or after != sorted(after)


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
        is_certain = _is_certain(sim, cabinet_id)
        if is_certain and row["signed_off"] != (cabinet_id in sim.memory.signed_off):
            rule = "a cabinet is offline once its latest connection is lost"
            sim.violations.append(Violation(rule, row))


def _is_certain(sim: RunState, cabinet_id: str) -> bool:
    """Whether the service must know the order of the cabinet's boots and messages."""
    is_known = cabinet_id not in sim.world.misnumbered and not overtaken(sim, cabinet_id)
    return is_known and not may_be_unproved(sim, cabinet_id)


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
    is_certain = _is_certain(sim, cabinet_id)
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
