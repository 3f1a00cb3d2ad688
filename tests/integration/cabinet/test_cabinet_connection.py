"""A simulated cabinet at a real broker: power-up, lost connections, reboots."""

from pathlib import Path
from typing import Any

import pytest

from local import CannotStart
from local.broker import Broker
from local.cabinet.control import Control, ControlServer
from local.cabinet.device import Device
from local.cabinet.fleet import Fleet
from local.children import allow_descriptors
from tests.integration.cabinet.far_end import SECONDS, Service, filled
from tests.waiting import wait_until


def test_at_power_up_it_says_hello_and_then_its_state(own_broker: Broker, service: Service) -> None:
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    hello, report = service.hear(), service.hear()
    fleet.stop()
    assert (hello["type"], hello["seq"], hello["cells_total"]) == ("hello", 1, 12)
    assert (report["type"], report["seq"], len(report["cells"])) == ("state_report", 2, 12)


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
            wait_until(lambda: not device.online)
            broker.start()
            assert device.wait_online(SECONDS)
            service = Service(broker)
            service.answer(service.command("unlock", cells=[filled(device)]))
            service.close()
        finally:
            fleet.stop()
