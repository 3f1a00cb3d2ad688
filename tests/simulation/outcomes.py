"""What comes of calls: what the service says is compared with what really is."""

from typing import Any

from tests.simulation.backend import Answer, Request
from tests.simulation.calls import Call, Killed
from tests.simulation.memory import Known, Sent, Violation
from tests.simulation.network import Message, Publication, describe, message_of
from tests.simulation.scene import Scene
from tests.simulation.world import Spot

TTL_S = 15
_REMOVED = ("DELETE", "/v1/cabinets/{cabinet_id}", 204)


def ended(sim: Scene, call: Call) -> None:
    """A call has ended: only what was done to it may have made it fail."""
    sim.database.give_back(call)
    if call.deadlocked:
        raise Violation("no deadlock", call.name)
    if call.failed and not isinstance(call.error, Killed) and not call.suffered:
        raise Violation("no call fails by itself", repr(call.error)) from call.error


def answered(sim: Scene, call: Call, request: Request) -> None:
    """A request was answered, or its function ended without an answer."""
    ended(sim, call)
    if request.swap is not None:
        _swap_ended(sim, request.swap, call)
    if call.failed:
        sim.memory.unanswered.append(request)
        return
    answer: Answer = call.result
    if answer.status == 500 or (
        answer.status == 503 and answer.body["code"] == "database_unavailable" and not call.suffered
    ):
        raise Violation("no request fails by itself", f"{answer} {sim.errors[-1:]}")
    if request.resource == "/v1/bookings" and answer.status == 201:
        _remember(sim, request, answer.body)
    if request.resource.endswith("/unlock") and answer.status == 200:
        _check_unlocked(sim, answer.body)
    if answer.status == 503 and answer.body["code"] == "queue_unavailable":
        _check_taken_back(sim, request)
    if (request.method, request.resource, answer.status) == _REMOVED:
        cabinet_id = dict(request.parameters)["cabinet_id"]
        sim.memory.forget_cabinet(cabinet_id)
        sim.network.forget(cabinet_id)


def _remember(sim: Scene, request: Request, body: Any) -> None:
    made = sim.memory.made_by_key
    if request.key and made.setdefault(request.key, body["booking_id"]) != body["booking_id"]:
        raise Violation("one key makes one booking", request)
    if all(known.booking_id != body["booking_id"] for known in sim.memory.bookings):
        names = ("booking_id", "cabinet_id", "contractor_id", "kind")
        sim.memory.bookings.append(Known(*(body[name] for name in names)))


def _check_unlocked(sim: Scene, body: Any) -> None:
    for cell in body["cells"]:
        spot = (_cabinet_of(sim, body["booking_id"]), cell["cell_number"])
        opened = sim.world.executed.get(body["command_id"], set())
        doubtful = cell["result"] == "opened" and spot[1] not in opened
        if doubtful and spot not in sim.world.liars and not _inferred(sim, body["command_id"]):
            raise Violation("what is told to be open was opened", spot)


def _check_taken_back(sim: Scene, request: Request) -> None:
    """Nothing was sent: the booking is as it was, unless another caller unlocks it, or died."""
    if any(call.name.startswith("unlock") and call.state != "done" for call in sim.calls):
        return
    died = {(other.resource, other.parameters) for other in sim.memory.unanswered}
    if (request.resource, request.parameters) in died:
        return
    rows = sim.database.query(
        """SELECT command_id::text AS command_id FROM commands
            WHERE booking_id::text = %(id)s AND status = 'pending'""",
        id=dict(request.parameters).get("booking_id"),
    )
    if rows:
        raise Violation("what was not sent is taken back", rows[0])


def _inferred(sim: Scene, command_id: str) -> bool:
    sql = "SELECT inferred FROM commands WHERE command_id::text = %(id)s"
    return bool(sim.database.query(sql, id=command_id)[0]["inferred"])


def _cabinet_of(sim: Scene, booking_id: str) -> str:
    return next(b.cabinet_id for b in sim.memory.bookings if b.booking_id == booking_id)


def _swap_ended(sim: Scene, index: int, call: Call) -> None:
    answer: Answer | None = call.result
    if answer is None or answer.status == 503:
        if call.commits:
            _came_too_late(sim, index)
        return
    if answer.replayed:
        return
    known = sim.memory.swap_ids.get(index)
    if answer.status == 200:
        sim.memory.swap_ids[index] = answer.body["swap_id"]
        _swapped(sim, index)
    elif answer.status == 409 and known is not None and not _has_twin(sim, index):
        last = sim.database.query(
            """SELECT DISTINCT ON (accumulator_id) swap_id::text AS swap_id FROM movements
                WHERE accumulator_id = ANY (%(ids)s)
                ORDER BY accumulator_id, movement_id DESC""",
            ids=list(sim.memory.swaps[index][2:]),
        )
        if all(row["swap_id"] == known for row in last):
            raise Violation("I3 the same swap twice is answered alike", answer)


def _has_twin(sim: Scene, index: int) -> bool:
    return bool({*sim.memory.swaps[index][2:]} & sim.world.twins)


def _swapped(sim: Scene, index: int) -> None:
    """A swap's report was taken: what it told is known."""
    again = index in sim.memory.confirmed  # then it says what was so at the first time
    sim.memory.confirmed.add(index)
    if not _came_too_late(sim, index) and not again:
        unsure = sim.world.unsure
        for accumulator_id, place in _told(sim, index).items():
            sim.world.claims[accumulator_id] = None if accumulator_id in unsure else place


def _came_too_late(sim: Scene, index: int) -> bool:
    """Whether a swap was recorded, or may have been, when it was so no longer.

    Then it may have confused the records.
    """
    _, scooter, installed, _ = sim.memory.swaps[index]
    places, claims, told = sim.world.places(), sim.world.claims, _told(sim, index)
    if all(places[id_] == place for id_, place in told.items()):
        return False
    sim.memory.overtake({*told})
    confused = {*told} | {i for i, place in claims.items() if place == scooter}
    confused |= _taken_out(sim, scooter, installed)
    claims.update(dict.fromkeys(confused))
    sim.world.unsure |= confused
    return True


def _told(sim: Scene, index: int) -> dict[str, str]:
    """The accumulators that a swap's report names, and where it says they are now."""
    contractor, scooter, installed, removed = sim.memory.swaps[index]
    return {installed: scooter} | ({removed: contractor} if removed else {})


def _taken_out(sim: Scene, scooter: str, installed: str) -> set[str]:
    """What was moved out of a scooter for another; what put it there may be answered later."""
    rows = sim.database.query(
        """SELECT accumulator_id FROM movements
            WHERE from_scooter_id = %(scooter)s AND swap_id IN (
                  SELECT swap_id FROM movements
                   WHERE accumulator_id = %(installed)s AND to_scooter_id = %(scooter)s)""",
        scooter=scooter,
        installed=installed,
    )
    return {row["accumulator_id"] for row in rows}


def taken(sim: Scene, call: Call, batch: list[Message]) -> None:
    """The trigger took a batch, or failed: then it will come again."""
    ended(sim, call)
    if call.failed:
        sim.network.inbox[:0] = batch
        return
    if not call.commits:
        raise Violation("I5 no message disappears", "a batch was taken and nothing committed")
    for record in batch:
        if sim.network.is_late(record):
            sim.overtaken(record)
        sim.network.delivered.append(record)
    for record in batch:
        message = message_of(record)
        if message.get("type") == "command_result":
            _check_settled(sim, record["details"]["device_id"], message)


def committed(sim: Scene, batch: list[Message]) -> None:
    """On the thread of a call: a batch has been applied, and what could not be is kept."""
    there = {row["device_id"] for row in sim.database.query("SELECT device_id FROM cabinets")}
    strange = [
        record
        for record in batch
        if record["details"]["device_id"] not in there or "type" not in message_of(record)
    ]
    kept = sim.database.query("SELECT event_id FROM anomalies") if strange else []
    names = {row["event_id"] for row in kept}
    for record in strange:
        if record["event_metadata"]["event_id"] not in names:
            sim.found.append(Violation("I5 no message disappears", describe(record)))


def _check_settled(sim: Scene, cabinet_id: str, message: Message) -> None:
    rows = sim.database.query(
        """SELECT status FROM commands
            WHERE command_id::text = %(id)s AND cabinet_id = %(cabinet_id)s""",
        id=message["command_id"],
        cabinet_id=cabinet_id,
    )
    if rows and rows[0]["status"] in {"pending", "published", "no_answer"}:
        raise Violation("I5 an answer settles its command", message)
    if rows and message["status"] != "done" and rows[0]["status"] == "failed":
        raise Violation("a refusal is no failure of the cells", message)


def published(sim: Scene, publication: Publication) -> None:
    """On the thread of a call: a command is about to be sent."""
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
    sent = Sent(
        command["command_id"],
        row["booking_id"],
        cabinet_id,
        {n: {sim.world.content((cabinet_id, n)), recorded.get(n)} for n in command["cells"]},
        sim.clock.now().timestamp(),
    )
    if row["booking_id"] is not None:
        for earlier in sim.memory.sent:
            if earlier.booking_id == sent.booking_id:
                _check_not_doubled(sim, earlier, sent)
    sim.memory.sent.append(sent)


def _check_not_doubled(sim: Scene, earlier: Sent, sent: Sent) -> None:
    age = sent.at - earlier.at
    honest = sim.world.units[sent.cabinet_id].hardware.firmware.honours_ttl
    may_arrive = sim.network.in_flight(earlier.command_id) and not (honest and age > TTL_S)
    opened = sim.world.executed.get(earlier.command_id, set())
    for number in earlier.contents.keys() & sent.contents.keys():
        spot = (sent.cabinet_id, number)
        undone = earlier.contents[number] & _seen_behind(sim, earlier.command_id, spot)
        if spot in sim.world.liars:
            continue
        if may_arrive or (number in opened and not undone):
            detail = f"{spot} by {earlier.command_id} and {sent.command_id}"
            sim.found.append(Violation("I4 no door is commanded open twice", detail))


def _seen_behind(sim: Scene, command_id: str, spot: Spot) -> set[str | None]:
    """What was behind the closed door: now, and when it was closed after that command."""
    cell = sim.world.units[spot[0]].hardware.cells[spot[1]]
    now = {sim.world.content(spot)} if cell.door == "closed" else set()
    left = sim.world.left
    return now | ({left[command_id, spot]} if (command_id, spot) in left else set())
