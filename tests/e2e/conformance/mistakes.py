"""Mistakes that firmware makes: each with the rule that finds it and words of its verdict.

They come from cabinets, lockers and charging stations in the field.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from paho.mqtt.enums import MQTTProtocolVersion

from tests.e2e.conformance.faulty import FaultyDevice

Message = dict[str, Any]
Plant = Callable[[FaultyDevice], None]


class Mistake(NamedTuple):
    """A mistake, the rule that it breaks, words of the verdict, and the steps that show it."""

    plant: Plant
    rule: str
    words: str
    steps: tuple[str, ...] = ("connect",)
    also: tuple[str, ...] = ()
    """Other rules that it breaks by its nature."""


MISTAKES: dict[str, Mistake] = {}


def mistake(
    rule: str, words: str, *steps: str, also: tuple[str, ...] = ()
) -> Callable[[Plant], Plant]:
    """Add a mistake; its name is that of the function."""

    def add(plant: Plant) -> Plant:
        MISTAKES[plant.__name__] = Mistake(plant, rule, words, steps or ("connect",), also)
        return plant

    return add


def messages(change: Callable[[Message], object]) -> Callable[[bytes], list[bytes]]:
    """Change every message as a JSON object, in place."""

    def changed(payload: bytes) -> list[bytes]:
        message = json.loads(payload)
        change(message)
        return [json.dumps(message, ensure_ascii=False).encode(errors="backslashreplace")]

    return changed


def cells_of(message: Message) -> list[Message]:
    """Return the cells of a state report or of an event."""
    if message["type"] == "command_result":
        return []
    return [*message.get("cells", []), *([message["cell"]] if "cell" in message else [])]


def cells(change: Callable[[Message], object]) -> Callable[[bytes], list[bytes]]:
    """Change every cell that a report or an event shows, in place."""
    return messages(lambda message: [change(cell) for cell in cells_of(message)])


def switch(device: FaultyDevice, **switches: Any) -> None:
    """Set switches of the simulated firmware."""
    device.hardware.firmware = replace(device.hardware.firmware, **switches)


# --- Connection ---------------------------------------------------------------------------------


@mistake("clean-session", "persistent session")
def asks_for_a_persistent_session(device: FaultyDevice) -> None:
    device.clean_session = False


@mistake("subscribe-qos", "at QoS 1, not 0")
def subscribes_at_qos_1(device: FaultyDevice) -> None:
    device.subscribe_qos = 1


@mistake("publish-qos", "at QoS 0, not 1")
def publishes_at_qos_0(device: FaultyDevice) -> None:
    device.qos = 0


@mistake("retained", "have the retain flag")
def retains_its_reports(device: FaultyDevice) -> None:
    device.retains = lambda payload: b'"state_report"' in payload


@mistake("version", "MQTT 3.1,")
def speaks_mqtt_3_1(device: FaultyDevice) -> None:
    device.protocol = MQTTProtocolVersion.MQTTv31


@mistake("own-topics", "subscribes to $devices/+/commands")
def listens_to_all_cabinets(device: FaultyDevice) -> None:
    device.more_filters = ("$devices/+/commands",)


@mistake("registry-topic", "polls do not reach it")
def does_not_listen_to_its_registry(device: FaultyDevice) -> None:
    device.leaves_out_broadcasts = True


@mistake("commands-topic", "connection 2 does not subscribe", "cut", also=("registry-topic",))
def subscribes_only_once(device: FaultyDevice) -> None:
    device.subscriptions_left = 1


@mistake("reconnects", "no new connection within", "cut")
def stays_away_after_an_outage(device: FaultyDevice) -> None:
    def leave(payload: bytes) -> bytes | None:
        if b'"unlock"' in payload:
            device.disconnect()  # and never `reconnect`
        return payload

    device.hear = leave


@mistake("will", "the session of the last will is 's-0'")
def reuses_an_old_last_will(device: FaultyDevice) -> None:
    device.will = lambda payload: json.dumps(json.loads(payload) | {"session": "s-0"}).encode()


# --- Power-up and numbers -----------------------------------------------------------------------


@mistake("hello", "no hello")
def never_says_hello(device: FaultyDevice) -> None:
    device.greets = False


@mistake("hello-fields", "cells_total is 12; registered are 4")
def counts_cells_it_does_not_have(device: FaultyDevice) -> None:
    device.change = messages(
        lambda message: message.update(cells_total=12) if message["type"] == "hello" else None
    )


@mistake("first-report", "no complete state_report within")
def waits_until_it_is_asked(device: FaultyDevice) -> None:
    device.reports_first = False


@mistake("seq", "two messages have the same seq")
def never_counts(device: FaultyDevice) -> None:
    switch(device, numbering="stands_still")


@mistake("seq", "seq goes back from", "cut")
def counts_from_1_at_each_connection(device: FaultyDevice) -> None:
    will = device.will

    def restart(payload: bytes) -> bytes:
        device.hardware.seq = 0
        return will(payload)

    device.will = restart


@mistake("seq", "two messages have the same seq", "lock", also=("one-result",))
def sends_everything_twice(device: FaultyDevice) -> None:
    device.change = lambda payload: [payload, payload]


@mistake("boot-id", "changed at a reconnect", "cut")
def takes_a_reconnect_for_a_boot(device: FaultyDevice) -> None:
    def reboot(payload: bytes) -> bytes:
        if device.hardware.seq:
            device.hardware.reboot()
        return json.dumps(json.loads(payload) | {"boot_id": device.hardware.boot_id}).encode()

    device.will = reboot


@mistake("new-boot-id", "before and after the power cycle", "power")
def keeps_its_boot_id_in_flash(device: FaultyDevice) -> None:
    switch(device, numbering="restarts")


# --- Form of messages ---------------------------------------------------------------------------


@mistake("json", "NUL byte")
def sends_the_end_of_a_c_string(device: FaultyDevice) -> None:
    device.change = lambda payload: [payload + b"\0"]


@mistake("json", "byte order mark")
def begins_with_a_byte_order_mark(device: FaultyDevice) -> None:
    device.change = lambda payload: [b"\xef\xbb\xbf" + payload]


@mistake("envelope", "seq is missing")
def leaves_seq_out(device: FaultyDevice) -> None:
    device.change = messages(lambda message: message.pop("seq"))


@mistake("envelope", 'type is "lock"', "lock")
def echoes_commands(device: FaultyDevice) -> None:
    def echo(payload: bytes) -> bytes:
        command = json.loads(payload)
        device.hardware.seq += 1
        numbers = {"boot_id": device.hardware.boot_id, "seq": device.hardware.seq}
        device.send_raw(json.dumps({**command, **numbers, "type": command["kind"]}).encode())
        return payload

    device.hear = echo


@mistake("whole-numbers", "battery_charge is 90.0, not an integer")
def writes_numbers_with_a_point(device: FaultyDevice) -> None:
    device.change = cells(
        lambda cell: cell.update(battery_charge=90.0) if "battery_charge" in cell else None
    )


@mistake("whole-numbers", 'cell_number is "1", not an integer')
def writes_numbers_as_texts(device: FaultyDevice) -> None:
    device.change = cells(lambda cell: cell.update(cell_number=str(cell["cell_number"])))


@mistake("size", "the limit is 262144")
def sends_its_whole_log(device: FaultyDevice) -> None:
    def add_log(message: Message) -> None:
        if message["type"] == "hello":
            message["log"] = "x" * 270_000

    device.change = messages(add_log)


@mistake("all-cells", "no cell 3 of 4")
def leaves_a_cell_out(device: FaultyDevice) -> None:
    switch(device, omits=frozenset({3}))


@mistake("all-cells", "counted from 0", also=("cell-numbers",))
def counts_cells_from_0(device: FaultyDevice) -> None:
    device.change = cells(lambda cell: cell.update(cell_number=cell["cell_number"] - 1))


@mistake("ids", 'accumulator_id is "kit-')
def writes_ids_in_lower_case(device: FaultyDevice) -> None:
    device.change = cells(
        lambda cell: cell.update(accumulator_id=(cell["accumulator_id"] or "").lower() or None)
    )


@mistake("ids", 'accumulator_id is "A 1/?', "connect", "booking")
def accumulator_ids_are_no_path_of_a_url(device: FaultyDevice) -> None:
    device.change = cells(
        lambda cell: cell.update(accumulator_id=cell["accumulator_id"] and "A 1/?<b>#")
    )


@mistake("ids", 'accumulator_id is "0000000000"')
def reports_zeros_for_an_empty_cell(device: FaultyDevice) -> None:
    device.change = cells(
        lambda cell: cell.update(accumulator_id=cell["accumulator_id"] or "0000000000")
    )


@mistake("charges", "battery_charge is 255")
def reports_255_for_an_unknown_charge(device: FaultyDevice) -> None:
    device.change = cells(lambda cell: cell.update(battery_charge=255))


@mistake("doors", 'door is "shut"')
def has_its_own_word_for_a_door(device: FaultyDevice) -> None:
    device.change = cells(lambda cell: cell.update(door="shut"))


@mistake("fields", "charging is 1")
def reports_charging_as_a_number(device: FaultyDevice) -> None:
    device.change = cells(lambda cell: cell.update(charging=1))


@mistake("fields", "temperature_c is -127")
def reports_a_broken_thermometer(device: FaultyDevice) -> None:
    device.change = cells(lambda cell: cell.update(temperature_c=-127))


@mistake("words", 'result is "ok"', "lock")
def has_its_own_words_for_results(device: FaultyDevice) -> None:
    def rename(message: Message) -> None:
        for cell in message.get("cells", []):
            if "result" in cell:
                cell["result"] = "ok"

    device.change = messages(rename)


# --- Commands -----------------------------------------------------------------------------------


@mistake("answer", "no answer with this command_id", "lock")
def never_answers(device: FaultyDevice) -> None:
    device.change = lambda payload: [] if b"command_result" in payload else [payload]


@mistake("known-commands", "which was never sent to it", "lock", also=("answer",))
def answers_with_its_own_number(device: FaultyDevice) -> None:
    def renumber(message: Message) -> None:
        if message["type"] == "command_result":
            message["command_id"] = "17"

    device.change = messages(renumber)


@mistake("report-id", "without this command_id", "report")
def leaves_command_id_out_of_reports(device: FaultyDevice) -> None:
    device.change = messages(
        lambda message: message.pop("command_id", 0) if message["type"] == "state_report" else 0
    )


@mistake("spread", "came at once", "report")
def answers_polls_at_once(device: FaultyDevice) -> None:
    device.hear = lambda payload: json.dumps(json.loads(payload) | {"spread_s": 0}).encode()


@mistake("cells-asked", "asked for cells 1, 2, 3, the result names cell 4", "several")
def opens_the_neighbour(device: FaultyDevice) -> None:
    switch(device, substitutes={3: 4})


@mistake("cells-named", "no result names cell 2", "several")
def leaves_out_cells_that_failed(device: FaultyDevice) -> None:
    switch(device, claims={2: None})


@mistake("one-part", "the others come later", "several")
def answers_in_parts(device: FaultyDevice) -> None:
    switch(device, answers="parts")


@mistake("order", "came before the unlock's result", "several")
def reports_before_it_has_finished(device: FaultyDevice) -> None:
    def late(payload: bytes) -> bytes | None:
        if b'"unlock"' not in payload:
            return payload
        device._runtime.call_later(0.5, lambda: device.act(lambda _: execute(payload)))
        return None

    def execute(payload: bytes) -> None:
        [reply] = device.hardware.handle(json.loads(payload))
        device.send(reply.make())

    device.hear = late


@mistake("opened-is-open", "closed", "several")
def says_opened_before_the_door_moves(device: FaultyDevice) -> None:
    for cell in device.hardware.cells.values():
        cell.lock = "stuck"
    switch(device, claims=dict.fromkeys(device.hardware.cells, "opened"))


@mistake("once", "opened cell 1 a second time", "repeat")
def executes_a_command_twice(device: FaultyDevice) -> None:
    switch(device, executes_once=False)


@mistake("stored-answer", "no answer to a command_id that arrived again", "repeat")
def ignores_a_repeated_command(device: FaultyDevice) -> None:
    known: set[str] = set()

    def forget(payload: bytes) -> bytes | None:
        command_id = json.loads(payload)["command_id"]
        is_known = command_id in known
        known.add(command_id)
        return None if is_known else payload

    device.hear = forget


@mistake("expired", "was executed", "expired")
def executes_old_commands(device: FaultyDevice) -> None:
    switch(device, honours_ttl=False)


@mistake("fresh", "refused as expired", "lock")
def has_a_fast_clock(device: FaultyDevice) -> None:
    device.hardware.clock_skew_s = 3 * 3600


@mistake("unknown-kind", "is done, not rejected", "unknown")
def acknowledges_what_it_does_not_know(device: FaultyDevice) -> None:
    switch(device, knows_all_commands=True)


@mistake("unknown-field", "was not answered by a report", "unknown")
def refuses_unknown_fields(device: FaultyDevice) -> None:
    known = {"v", "command_id", "kind", "cells", "issued_at", "ttl_s", "spread_s", "colour"}

    def validate(payload: bytes) -> bytes:
        command = json.loads(payload)
        if set(command) <= known:
            return payload
        return json.dumps(command | {"v": 0}).encode()

    device.hear = validate


@mistake("unknown-cell", "is answered with opened", "unknown")
def opens_cells_that_it_does_not_have(device: FaultyDevice) -> None:
    def confirm(message: Message) -> None:
        for cell in message.get("cells", []):
            if cell.get("result") == "unknown_cell":
                cell["result"] = "opened"

    device.change = messages(confirm)


@mistake(
    "nothing-late",
    "was executed after the reconnect",
    "cut",
    also=("clean-session", "subscribe-qos"),
)
def executes_what_waited_in_the_broker(device: FaultyDevice) -> None:
    device.clean_session, device.subscribe_qos = False, 1
    switch(device, honours_ttl=False)


@mistake("door-event", "no cell_event within", "repeat")
def says_nothing_when_a_door_is_closed(device: FaultyDevice) -> None:
    def keep(payload: bytes) -> list[bytes]:
        if b'"cell_event"' not in payload:
            return [payload]
        device.hardware.seq -= 1
        return []

    device.change = keep
