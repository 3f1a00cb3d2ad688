"""A simulated cabinet at a real broker: its network and its answers, also when they fail."""

import json
import queue
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from local import CannotStart
from local.broker import BRIDGE_LOGIN, SERVICE_LOGIN, Broker
from local.cabinet.control import Control, ControlServer
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from local.children import allow_descriptors

SECONDS = 10


class Service:
    """The other side: publishes commands and hears every cabinet's events."""

    def __init__(self, broker: Broker) -> None:
        self.heard: queue.Queue[bytes] = queue.Queue()
        self._known: set[tuple[str, int]] = set()
        self._publisher = self._connect(broker, SERVICE_LOGIN)
        self._listener = self._connect(broker, BRIDGE_LOGIN)
        self._listener.on_message = self._hear
        subscribed: queue.Queue[None] = queue.Queue()
        self._listener.on_subscribe = lambda *_: subscribed.put(None)
        self._listener.subscribe("$devices/+/events", qos=1)
        subscribed.get(timeout=SECONDS)

    def close(self) -> None:
        for client in (self._publisher, self._listener):
            client.disconnect()
            client.loop_stop()

    def command(self, kind: str, *, topic: str = "$devices/C-001/commands", **fields: Any) -> str:
        """Publish a command; return its id."""
        issued_at = datetime.now(UTC).isoformat()
        common = {"v": 1, "command_id": str(uuid4()), "issued_at": issued_at, "ttl_s": 15}
        body = {**common, "kind": kind, **fields}
        info = self._publisher.publish(topic, json.dumps(body), qos=1)
        info.wait_for_publish(SECONDS)
        return str(body["command_id"])

    def hear(self) -> dict[str, Any]:
        """Return the next message; what QoS 1 delivers again after a lost connection is skipped."""
        while True:
            message: dict[str, Any] = json.loads(self.heard.get(timeout=SECONDS))
            number = (message["boot_id"], message["seq"])
            if number not in self._known:
                self._known.add(number)
                return message

    def hear_until(self, what: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return all that is heard up to the first message of that kind."""
        heard = [self.hear()]
        while not what(heard[-1]):
            heard.append(self.hear())
        return heard

    def answer(self, command_id: str) -> dict[str, Any]:
        return self.hear_until(lambda message: message.get("command_id") == command_id)[-1]

    def _hear(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.heard.put(bytes(message.payload))

    def _connect(self, broker: Broker, login: tuple[str, str]) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"test-{uuid4()}")
        client.username_pw_set(*login)
        connected: queue.Queue[None] = queue.Queue()
        client.on_connect = lambda *_: connected.put(None)
        client.connect(broker.host, broker.port)
        client.loop_start()
        connected.get(timeout=SECONDS)
        return client


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that only this module's cabinets talk at: C-001 is everyone's name."""
    with Broker(tmp_path_factory.mktemp("broker")) as broker:
        broker.add_device("C-001")
        yield broker


@pytest.fixture
def service(own_broker: Broker) -> Iterator[Service]:
    service = Service(own_broker)
    yield service
    service.close()


@pytest.fixture
def fleet(own_broker: Broker, service: Service) -> Iterator[Fleet]:
    """One cabinet, started; what it says at power-up has been heard."""
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    service.hear_until(lambda message: message["type"] == "state_report")
    yield fleet
    fleet.stop()


@pytest.fixture
def device(fleet: Fleet) -> Device:
    return fleet.by_id["C-001"]


def filled(device: Device) -> int:
    cells = device.hardware.cells.values()
    return next(cell.cell_number for cell in cells if cell.accumulator)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {SECONDS} s"
        time.sleep(0.01)


def test_at_power_up_it_says_hello_and_then_its_state(own_broker: Broker, service: Service) -> None:
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    hello, report = service.hear(), service.hear()
    fleet.stop()
    assert (hello["type"], hello["seq"], hello["cells_total"]) == ("hello", 1, 12)
    assert (report["type"], report["seq"], len(report["cells"])) == ("state_report", 2, 12)


def test_unlock_opens_the_door_and_answers(device: Device, service: Service) -> None:
    number = filled(device)
    command_id = service.command("unlock", cells=[number])
    answer = service.answer(command_id)
    inside = device.hardware.cells[number].accumulator
    assert inside is not None
    assert answer["cells"] == [
        {
            "cell_number": number,
            "result": "opened",
            "accumulator_id": inside.accumulator_id,
            "battery_charge": inside.battery_charge,
        }
    ]
    assert device.hardware.cells[number].door == "open"


def test_what_hands_do_is_heard(fleet: Fleet, device: Device, service: Service) -> None:
    number = filled(device)
    service.answer(service.command("unlock", cells=[number]))
    fleet.take("C-001", number)
    device.act(lambda hardware: hardware.close_door(number))
    taken, closed = service.hear(), service.hear()
    assert (taken["cell"]["door"], taken["cell"]["accumulator_id"]) == ("open", None)
    assert (closed["cell"]["door"], closed["cell"]["accumulator_id"]) == ("closed", None)


def test_a_broadcast_is_answered_with_its_id(device: Device, service: Service) -> None:
    topic = "$registries/local/commands"
    command_id = service.command("report_state", topic=topic, spread_s=0.1)
    answer = service.answer(command_id)
    assert (answer["type"], len(answer["cells"])) == ("state_report", 12)


def test_bytes_that_are_no_command_change_nothing(device: Device, service: Service) -> None:
    service.command("unlock", command_id=None, cells=[1])
    service.answer(service.command("lock", cells=[1]))
    assert device.hardware.ignored == 1
    assert device.hardware.cells[1].door == "closed"


def test_a_command_sent_while_it_is_offline_is_lost(device: Device, service: Service) -> None:
    number = filled(device)
    device.disconnect()
    service.command("unlock", cells=[number])
    device.reconnect()
    assert device.wait_online(SECONDS)
    service.answer(service.command("report_state"))
    assert device.hardware.cells[number].openings == 0


def test_it_stays_offline_until_it_is_told_to_reconnect(device: Device) -> None:
    device.disconnect()
    assert not device.wait_online(0.7)  # after a mere loss of connection it is back in 0.2 s
    device.reconnect()
    assert device.wait_online(SECONDS)


def test_what_happens_while_it_is_offline_is_told_when_it_is_back(
    device: Device, service: Service
) -> None:
    device.disconnect()
    device.act(lambda hardware: hardware.pry_open(3))
    device.act(lambda hardware: hardware.close_door(3))
    device.reconnect()
    heard = service.hear_until(lambda message: message["type"] == "state_report")
    assert [message.get("cell", {}).get("door") for message in heard] == ["open", "closed", None]
    assert [message["seq"] for message in heard] == sorted(message["seq"] for message in heard)


def test_a_late_answer_comes_late_and_other_messages_overtake_it(
    device: Device, service: Service
) -> None:
    device.delay_s = 0.3
    begun = time.monotonic()
    command_id = service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.hardware.cells[filled(device)].door == "open", "the door opens")
    device.act(
        lambda hardware: hardware.pry_open(next(n for n in hardware.cells if n != filled(device)))
    )
    event, answer = service.hear(), service.hear()
    assert time.monotonic() - begun >= 0.3
    assert (event["type"], answer["command_id"]) == ("cell_event", command_id)
    assert answer["seq"] < event["seq"]


def test_an_answer_given_twice_is_an_exact_duplicate(device: Device, service: Service) -> None:
    device.answer = "twice"
    service.command("unlock", cells=[filled(device)])
    first, second = (service.heard.get(timeout=SECONDS) for _ in range(2))
    assert first == second


def test_a_cabinet_that_never_answers_has_opened_all_the_same(
    device: Device, service: Service
) -> None:
    device.answer = "never"
    service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.hardware.cells[filled(device)].door == "open", "the door opens")
    device.report()
    assert service.hear()["type"] == "state_report"


def test_a_deaf_cabinet_does_not_even_open(device: Device, service: Service) -> None:
    device.answer = "deaf"
    service.command("unlock", cells=[filled(device)])
    wait_until(lambda: device.missed == 1, "the command arrives")
    assert device.hardware.cells[filled(device)].openings == 0


def test_a_corrupt_answer_is_not_json(device: Device, service: Service) -> None:
    device.answer = "corrupt"
    service.command("unlock", cells=[filled(device)])
    with pytest.raises(json.JSONDecodeError):
        service.hear()


def test_a_foreign_answer_names_a_command_that_nobody_gave(
    device: Device, service: Service
) -> None:
    device.answer = "foreign"
    command_id = service.command("unlock", cells=[filled(device)])
    assert service.hear()["command_id"] != command_id


def test_held_answers_are_released_in_another_order(device: Device, service: Service) -> None:
    device.hold()
    ids = [service.command("lock", cells=[number]) for number in (1, 2, 3)]
    wait_until(lambda: device.hardware.seq == 5, "three answers are made")
    assert device.release([2, 0, 1]) == 3
    assert [service.hear()["command_id"] for _ in ids] == [ids[2], ids[0], ids[1]]


def test_any_bytes_can_be_said(device: Device, service: Service) -> None:
    device.say_raw(b"\xff\x00not json")
    assert service.heard.get(timeout=SECONDS) == b"\xff\x00not json"


def test_a_reboot_says_hello_with_a_new_boot_id(device: Device, service: Service) -> None:
    before = device.hardware.boot_id
    device.reboot()
    hello, report = service.hear(), service.hear()
    assert (hello["type"], hello["seq"], report["type"]) == ("hello", 1, "state_report")
    assert hello["boot_id"] == report["boot_id"] != before


def test_a_fleet_started_again_is_powered_up_again(
    own_broker: Broker, fleet: Fleet, device: Device, service: Service
) -> None:
    before = device.hardware.boot_id
    fleet.stop()
    fleet.start(own_broker.host, own_broker.port)
    hello = service.hear()
    assert (hello["type"], hello["seq"]) == ("hello", 1)
    assert hello["boot_id"] != before


def test_the_control_interface_takes_it_offline_and_back(
    fleet: Fleet, device: Device, service: Service
) -> None:
    server = ControlServer(fleet)
    server.start()
    control = Control(server.url)
    control.act("C-001", "offline")
    offline = control.cabinet("C-001")["online"]
    control.act("C-001", "online")
    control.act("C-001", "reboot")
    online = control.cabinet("C-001")["online"]
    control.act("C-001", "say", text='{"not": "json')
    server.stop()
    assert (offline, online) == (False, True)
    payload = service.heard.get(timeout=SECONDS)
    while payload != b'{"not": "json':
        payload = service.heard.get(timeout=SECONDS)


def test_fifty_cabinets_answer_one_broadcast(own_broker: Broker, service: Service) -> None:
    fleet = Fleet(50, 2)
    own_broker.add_devices(*fleet.by_id)
    fleet.start(own_broker.host, own_broker.port)
    try:
        topic = "$registries/local/commands"
        command_id = service.command("report_state", topic=topic, spread_s=0.2)
        answers = 0
        while answers < 50:
            answers += service.hear().get("command_id") == command_id
    finally:
        fleet.stop()


def test_connections_leave_low_descriptors_to_those_who_wait_in_select(own_broker: Broker) -> None:
    allow_descriptors()
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    try:
        client = fleet.by_id["C-001"]._client
        assert client is not None
        connection: Any = client.socket()
        assert connection.fileno() >= 1024
    finally:
        fleet.stop()


def test_a_broker_that_is_not_there_is_told_in_one_line(own_broker: Broker) -> None:
    fleet = Fleet(1, 12)
    with pytest.raises(CannotStart, match="cabinet C-001 could not subscribe at"):
        fleet.start("127.0.0.1", 1, seconds=0.2)


def test_it_reconnects_when_the_broker_was_restarted(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        broker.add_device("C-001")
        fleet = Fleet(1, 12)
        device = fleet.by_id["C-001"]
        fleet.start(broker.host, broker.port)
        try:
            broker.stop()
            wait_until(lambda: not device.online, "the cabinet notices")
            broker.start()
            assert device.wait_online(SECONDS)
            service = Service(broker)
            service.answer(service.command("unlock", cells=[filled(device)]))
            service.close()
        finally:
            fleet.stop()
