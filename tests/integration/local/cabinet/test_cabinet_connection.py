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
from tests.integration.local.cabinet.service_side import SECONDS, ServiceSide, filled
from tests.support.waiting import wait_until


def test_a_cabinet_sends_hello_and_then_its_state_at_power_up(
    own_broker: Broker, service: ServiceSide
) -> None:
    fleet = Fleet(1, 12)
    fleet.start(own_broker.host, own_broker.port)
    hello, report = service.receive(), service.receive()
    fleet.stop()
    assert (hello["type"], hello["seq"], hello["cells_total"]) == ("hello", 1, 12)
    assert (report["type"], report["seq"], len(report["cells"])) == ("state_report", 2, 12)


def test_a_command_sent_while_the_cabinet_is_offline_is_lost(
    device: Device, service: ServiceSide
) -> None:
    number = filled(device)
    device.disconnect()
    service.command("unlock", cells=[number])
    device.reconnect()
    assert device.wait_online(SECONDS)
    service.reply_to(service.command("report_state"))
    assert device.hardware.cells[number].openings == 0


def test_a_disconnected_cabinet_stays_offline_until_it_is_told_to_reconnect(device: Device) -> None:
    device.disconnect()
    assert not device.wait_online(0.7)  # a lost connection alone would be restored in 0.2 s
    device.reconnect()
    assert device.wait_online(SECONDS)


def test_events_while_the_cabinet_is_offline_are_sent_when_it_reconnects(
    device: Device, service: ServiceSide
) -> None:
    device.disconnect()
    device.act(lambda hardware: hardware.pry_open(3))
    device.act(lambda hardware: hardware.close_door(3))
    device.reconnect()
    messages = service.receive_until(lambda message: message["type"] == "state_report")
    doors = [message["cell"]["door"] for message in messages if "cell" in message]
    assert doors == ["open", "closed"]
    assert [message["seq"] for message in messages] == sorted(
        message["seq"] for message in messages
    )


def test_the_broker_publishes_the_last_will_of_a_cabinet_that_is_cut_off(
    device: Device, service: ServiceSide
) -> None:
    session = device.hardware.session
    device.disconnect()
    device.reconnect()
    [*_, hello] = service.receive_until(lambda message: message["type"] == "hello")
    service.receive_until(lambda _: bool(service.last_wills))
    [will] = service.last_wills
    boot_id = device.hardware.boot_id
    assert will == {"v": 1, "type": "goodbye", "boot_id": boot_id, "session": session}
    assert hello["session"] == device.hardware.session != session


def test_a_rebooted_cabinet_sends_hello_with_a_new_boot_id(
    device: Device, service: ServiceSide
) -> None:
    before = device.hardware.boot_id
    device.reboot()
    hello, report = service.receive(), service.receive()
    assert (hello["type"], hello["seq"], report["type"]) == ("hello", 1, "state_report")
    assert hello["boot_id"] == report["boot_id"] != before


def test_a_restarted_fleet_sends_hello_with_new_boot_ids(
    own_broker: Broker, fleet: Fleet, device: Device, service: ServiceSide
) -> None:
    before = device.hardware.boot_id
    fleet.stop()
    fleet.start(own_broker.host, own_broker.port)
    hello = service.receive()
    assert (hello["type"], hello["seq"]) == ("hello", 1)
    assert hello["boot_id"] != before


def test_the_control_interface_takes_a_cabinet_offline_and_online(
    fleet: Fleet, device: Device, service: ServiceSide
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
    payload = service.received.get(timeout=SECONDS)
    while payload != b'{"not": "json':
        payload = service.received.get(timeout=SECONDS)


def test_cabinets_leave_the_low_file_descriptors_to_users_of_select(own_broker: Broker) -> None:
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


def test_an_unreachable_broker_is_reported_in_one_line(own_broker: Broker) -> None:
    fleet = Fleet(1, 12)
    with pytest.raises(CannotStart, match="cabinet C-001 could not subscribe at"):
        fleet.start("127.0.0.1", 1, seconds=0.2)


def test_a_cabinet_reconnects_when_the_broker_restarts(tmp_path: Path) -> None:
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
            service = ServiceSide(broker)
            service.reply_to(service.command("unlock", cells=[filled(device)]))
            service.close()
        finally:
            fleet.stop()
