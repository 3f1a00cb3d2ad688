"""What devices and clients in the field really send, over real MQTT and HTTP.

Each test is a kind of behaviour seen in public reports of neighbouring systems.
"""

import json
import threading
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from local.broker import DEVICE_PASSWORD, Broker
from tests.support.local_cloud import LocalCloud, check_invariants
from tests.support.mqtt import Client
from tests.support.waiting import wait_until

_NUMBERS = count(1)
Reply = Callable[[Any], None]


class Device:
    """A cabinet of three cells with raw firmware: the test writes every byte."""

    def __init__(self, stack: LocalCloud) -> None:
        self.stack = stack
        self.id = f"RAW-{next(_NUMBERS)}"
        self.seq = 0
        self.cells: dict[int, dict[str, Any]] = {
            n: {"cell_number": n, "door": "closed", "accumulator_id": f"{self.id}.A-{n}"}
            for n in (1, 2)
        }
        self.cells[3] = {"cell_number": 3, "door": "closed", "accumulator_id": None}
        for n in (1, 2):
            self.cells[n]["battery_charge"] = 90
            self._post("/v1/accumulators", accumulator_id=f"{self.id}.A-{n}")
        coords = {"lat": 55.7, "lon": 37.6}
        self._post("/v1/cabinets", cabinet_id=self.id, coords=coords, cells_total=3)
        broker = Broker(stack.data_dir)
        broker.port = stack.addresses["mqtt_port"]
        self.client = Client(broker, (self.id, DEVICE_PASSWORD), client_id=self.id)
        self.reply: Reply = lambda _command: None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._obey)

    def __enter__(self) -> "Device":
        self.client.__enter__()
        self.client.subscribe(f"$devices/{self.id}/commands", qos=0)
        self._thread.start()
        self.report()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self.client.close()

    def message(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.seq += 1
        return {"v": 1, "type": kind, "boot_id": "b-1", "seq": self.seq, **fields}

    def send(self, *messages: dict[str, Any] | bytes) -> None:
        raw = [m if isinstance(m, bytes) else json.dumps(m).encode() for m in messages]
        self.client.publish(f"$devices/{self.id}/events", *raw)

    def state(self, **fields: Any) -> dict[str, Any]:
        return self.message("state_report", cells=[*self.cells.values()], **fields)

    def report(self, **fields: Any) -> None:
        """Send a state report and wait until it is applied."""
        before = self.cabinet["last_seen_at"]
        self.send(self.state(**fields))
        wait_until(lambda: self.cabinet["last_seen_at"] != before)

    @property
    def cabinet(self) -> Any:
        return self.stack.operator.get(f"/v1/cabinets/{self.id}")

    def cell(self, number: int) -> Any:
        return self.cabinet["cells"][number - 1]

    def anomalies(self) -> list[str]:
        sql = "SELECT reason FROM anomalies WHERE device_id = %(id)s ORDER BY anomaly_id"
        return [row["reason"] for row in self.stack.sql(sql, id=self.id)]

    def place(self, number: int) -> Any:
        return self.stack.operator.get(f"/v1/accumulators/{self.id}.A-{number}")["place"]

    def book(self, amount: int = 1, kind: str = "issue") -> Any:
        body = {"cabinet_id": self.id, "contractor_id": f"T-{self.id}"}
        return self.stack.backend.post("/v1/bookings", {**body, "kind": kind, "count": amount})

    def unlock(self, booking: Any) -> Any:
        return self.stack.backend.call("POST", f"/v1/bookings/{booking['booking_id']}/unlock")

    def result(self, command: Any, *cells: tuple[int, str]) -> dict[str, Any]:
        outcome = [{"cell_number": number, "result": word} for number, word in cells]
        return self.message(
            "command_result", command_id=command["command_id"], status="done", cells=outcome
        )

    def _post(self, path: str, **body: Any) -> None:
        self.stack.operator.post(path, body)

    def _obey(self) -> None:
        while not self._stopped.wait(0.02):
            while self.client.has_received():
                self.reply(json.loads(self.client.take().payload))


@pytest.fixture
def device(stack: LocalCloud) -> Iterator[Device]:
    with Device(stack) as device:
        yield device
    check_invariants(stack)


def test_a_whole_number_may_have_a_point(device: Device) -> None:
    text = json.dumps(device.state())
    text = text.replace('"v": 1,', '"v": 1.0,').replace(
        '"battery_charge": 90', '"battery_charge": 9.1e1'
    )
    text = text.replace('"cell_number": 1', '"cell_number": 1.0')
    text = text.replace(f'"seq": {device.seq}', f'"seq": {device.seq}.0')
    device.send(text.encode())
    wait_until(lambda: device.cell(1)["battery_charge"] == 91)
    assert device.anomalies() == []
    body = {"cabinet_id": device.id, "contractor_id": "T-9", "kind": "issue", "count": 1.0}
    assert device.stack.backend.call("POST", "/v1/bookings", body).status == 201


@pytest.mark.parametrize("around", [b"\xef\xbb\xbf%s", b"%s\0", b"\r\n%s\r\n"])
def test_bytes_around_a_document_are_ignored(device: Device, around: bytes) -> None:
    device.cells[1]["battery_charge"] = 51
    device.send(around % json.dumps(device.state()).encode())
    wait_until(lambda: device.cell(1)["battery_charge"] == 51)
    assert device.anomalies() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("door", "ajar"), ("fault", 17), ("charging", 1), ("temperature_c", "hot")],
)
def test_one_bad_value_costs_its_field(device: Device, field: str, value: Any) -> None:
    device.cells[1][field] = value
    device.cells[2]["battery_charge"] = 52
    device.report(alarms=None)
    assert device.cell(2)["battery_charge"] == 52
    assert device.cell(1)["accumulator_id"] == f"{device.id}.A-1"
    assert set(device.anomalies()) <= {"unreadable_value"}


def test_one_alarm_as_a_word(device: Device) -> None:
    device.report(alarms="smoke")
    assert device.cabinet["alarms"] == ["smoke"]


@pytest.mark.parametrize("sent_at", [0, 1763805600.5, "01.01.1970 00:00", None, {}])
def test_no_clock_yet(device: Device, sent_at: Any) -> None:
    device.cells[1]["battery_charge"] = 53
    device.report(sent_at=sent_at)
    assert device.cell(1)["battery_charge"] == 53
    assert device.anomalies() == []


@pytest.mark.parametrize("seq", [0, 1])
def test_numbering_that_restarts_is_believed_in_an_answer(device: Device, seq: int) -> None:
    device.seq = 65_000
    device.report()
    device.cells[1]["battery_charge"] = 54

    def answer(command: Any) -> None:
        device.send({**device.state(command_id=command["command_id"]), "seq": seq})

    device.reply = answer
    body = {"kind": "report_state", "reason": "a test"}
    device.stack.operator.post(f"/v1/cabinets/{device.id}/commands", body)
    assert device.cell(1)["battery_charge"] == 54
    assert device.anomalies() == ["numbering_restarted"]


def test_an_answer_in_parts(device: Device) -> None:
    booking = device.book(2)
    commands: list[Any] = []

    def first_part(command: Any) -> None:
        commands.append(command)
        device.send(device.result(command, (1, "opened")))

    device.reply = first_part
    assert device.unlock(booking).body["status"] == "partially_completed"
    device.send(device.result(commands[0], (2, "opened")))
    wait_until(lambda: device.place(2) == {"contractor_id": f"T-{device.id}"})
    assert device.place(1) == device.place(2)


def test_a_door_that_opens_after_all(device: Device) -> None:
    booking = device.book()
    device.reply = lambda command: device.send(device.result(command, (1, "not_detected")))
    assert device.unlock(booking).body["cells"][0]["result"] == "not_detected"
    device.send(device.message("cell_event", cell={**device.cells[1], "door": "open"}))
    device.send(
        device.message(
            "cell_event", cell={"cell_number": 1, "door": "open", "accumulator_id": None}
        )
    )
    wait_until(lambda: device.place(1) == {"contractor_id": f"T-{device.id}"})
    assert "vanished" not in device.anomalies()


def test_one_accumulator_in_two_spellings(device: Device) -> None:
    device.cells[1]["accumulator_id"] = f"{device.id}.A-1".lower()
    device.cells[1]["battery_charge"] = 55
    device.report()
    assert device.cell(1)["battery_charge"] == 55
    assert device.anomalies() == []
    found = device.stack.operator.get(f"/v1/accumulators/{device.id.lower()}.a-1")
    assert found["accumulator_id"] == f"{device.id}.A-1"


def test_a_cell_more_than_registered(device: Device) -> None:
    device.cells[4] = {"cell_number": 4, "door": "closed", "accumulator_id": None}
    device.cells[1]["battery_charge"] = 56
    device.report()
    device.report()
    assert device.cell(1)["battery_charge"] == 56
    assert device.anomalies() == ["cells_total_differs"]
    device.stack.operator.call("PATCH", f"/v1/cabinets/{device.id}", {"cells_total": 4})
    device.report()
    assert device.cell(4)["content"] == "empty"


def test_a_lost_link_is_noticed_at_once(device: Device) -> None:
    device.send(device.message("hello", session="s-1"))
    device.send({"v": 1, "type": "goodbye", "boot_id": "b-1", "session": "s-1"})
    wait_until(lambda: not device.cabinet["online"])
    body = {"cabinet_id": device.id, "contractor_id": "T-9", "kind": "issue", "count": 1}
    assert device.stack.backend.call("POST", "/v1/bookings", body).body["code"] == "cabinet_offline"
    device.report()
    assert device.cabinet["online"]


@pytest.mark.parametrize("read", ["0000000000", "FFFFFFFF", "    "])
def test_a_reader_that_read_nothing(device: Device, read: str) -> None:
    device.cells[2]["accumulator_id"] = read
    device.cells[1]["battery_charge"] = 57
    device.report()
    assert device.cell(1)["battery_charge"] == 57
    assert device.cell(2)["content"] == "unidentified"
    assert device.anomalies() == []


@pytest.mark.parametrize("number", [0, -1, "one", None])
def test_a_cell_number_that_is_none(device: Device, number: Any) -> None:
    device.cells[9] = {"cell_number": number, "door": "closed", "accumulator_id": None}
    device.cells[1]["battery_charge"] = 58
    device.report()
    assert device.cell(1)["battery_charge"] == 58
    assert device.anomalies() == ["unreadable_value"]


def test_a_report_as_the_answer_to_an_unlock(device: Device) -> None:
    booking = device.book()

    def answer(command: Any) -> None:
        device.cells[1]["door"] = "open"
        device.send(device.state(command_id=command["command_id"]))

    device.reply = answer
    response = device.unlock(booking)
    assert (response.status, response.body["status"]) == (200, "completed")
    assert device.place(1) == {"contractor_id": f"T-{device.id}"}


def test_a_return_door_that_falls_shut_empty(device: Device) -> None:
    booking = device.book(1, "return")
    device.reply = lambda command: device.send(
        device.result(command, *((number, "opened") for number in command["cells"]))
    )
    assert device.unlock(booking).body["status"] == "returning"
    device.send(device.message("cell_event", cell=device.cells[3]))
    wait_until(lambda: device.cell(3)["door"] == "closed")
    response = device.unlock(booking)
    assert [cell["result"] for cell in response.body["cells"]] == ["opened"]
    device.send(device.message("cell_event", cell=device.cells[3]))
    wait_until(lambda: device.cell(3)["door"] == "closed")
    cancelled = device.stack.backend.call("DELETE", f"/v1/bookings/{booking['booking_id']}")
    assert cancelled.body["status"] == "cancelled"


def test_a_replaced_board(device: Device) -> None:
    changed = device.stack.operator.call(
        "PATCH", f"/v1/cabinets/{device.id}", {"device_id": f"{device.id}-B"}
    )
    assert changed.status == 200
    assert device.place(1) == {"cabinet_id": device.id, "cell_number": 1}


def test_what_can_never_be_read_costs_only_itself(device: Device) -> None:
    command = {"v": 1, "kind": "unlock", "command_id": "x", "cells": [1]}
    junk = [b"\xff\xfe", b"[" * 5000, b'{"v":1,"type":"hello","boot_id":"\\ud800","seq":1}']
    device.cells[1]["battery_charge"] = 59
    device.send(*junk, json.dumps(command).encode(), device.state(), *junk)
    wait_until(lambda: device.cell(1)["battery_charge"] == 59)
    assert set(device.anomalies()) == {"malformed"}
