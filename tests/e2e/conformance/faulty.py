"""A simulated cabinet into which a mistake can be planted, and a kit that tests it."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from local.cabinet.device import Device
from local.cabinet.hardware import Accumulator, ActionImpossible, Cell, Hardware
from local.cabinet.network import CabinetClient
from local.cabinet.runtime import Runtime
from tests.support.local_cloud import LocalCloud
from tools.conformance.hand import Hand
from tools.conformance.hand import Result as Done
from tools.conformance.proxy import Proxy
from tools.conformance.run import Result, conduct
from tools.conformance.service import Service
from tools.conformance.transcript import Transcript
from tools.conformance.view import Target
from tools.conformance.walk import Pace, Walk

CELLS = 4
_LIMITS = Target(
    "", CELLS, answer_s=2.5, event_s=1.5, first_report_s=2.5, subscribe_s=0.5, reconnect_s=3
)
_PACE = Pace(connect_s=20, hint_s=10, spread_s=4, outage_s=1.5, settle_s=0.1)
_numbers = count(1)


class FaultyDevice(Device):
    """A simulated cabinet whose attributes are the places where a mistake can be planted."""

    clean_session = True
    protocol = MQTTProtocolVersion.MQTTv311
    qos = 1
    subscribe_qos = 0
    more_filters: tuple[str, ...] = ()
    leaves_out_broadcasts = False
    subscriptions_left = 1_000_000
    greets = reports_first = True

    def __init__(self, hardware: Hardware, runtime: Runtime, *, registry_id: str) -> None:
        super().__init__(hardware, runtime, registry_id=registry_id)
        self.topic = self._events
        self.change: Callable[[bytes], Sequence[bytes]] = lambda payload: [payload]
        self.hear: Callable[[bytes], bytes | None] = lambda payload: payload
        self.will: Callable[[bytes], bytes] = lambda payload: payload
        self.retains: Callable[[bytes], bool] = lambda _: False

    def send_raw(self, payload: bytes) -> None:
        for changed in self.change(payload):
            if self._client:
                retain = self.retains(changed)
                self._client.publish(self.topic, changed, qos=self.qos, retain=retain)
                self._runtime.network.flush(self._client)

    def _make_client(self) -> Client:
        is_5 = self.protocol == MQTTProtocolVersion.MQTTv5
        return CabinetClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.device_id,
            clean_session=None if is_5 else self.clean_session,
            protocol=self.protocol,
        )

    def _subscribe(self, client: Client) -> None:
        self.subscriptions_left -= 1
        if self.subscriptions_left < 0:
            self._runtime.call_later(0.1, self._begin)
            return
        filters = [self._commands, *self.more_filters]
        if not self.leaves_out_broadcasts:
            filters.append(self._broadcasts)
        client.subscribe([(one, self.subscribe_qos) for one in filters])

    def _begin(self) -> None:
        with self._runtime.lock:
            self._send_first_messages()
            self._subscribed.set()

    def _make_will(self) -> bytes:
        return self.will(super()._make_will())

    def _execute(self, payload: bytes, *, broadcast: bool) -> None:
        heard = self.hear(payload)
        if heard is not None:
            super()._execute(heard, broadcast=broadcast)

    def _send_first_messages(self) -> None:
        if self.greets:
            self.send(self.hardware.hello())
        if self.reports_first:
            self.send(self.hardware.state_report())


class SimulatedHand:
    """Does at a simulated cabinet what the kit asks for."""

    is_there = True

    def __init__(self, device: Device) -> None:
        self._device = device

    def do(self, action: str, cell: int | None, is_seen: Callable[[float], bool]) -> Done:
        del is_seen
        actions: dict[str, Callable[[Hardware], Any]] = {
            "close": lambda hardware: hardware.close_door(cell or 0),
            "take": lambda hardware: hardware.remove(cell or 0),
            "insert": lambda hardware: hardware.insert(cell or 0, Accumulator("KIT-9", 90)),
        }
        if action == "power":
            self._device.reboot()
            return "done"
        try:
            self._device.act(actions[action])
        except ActionImpossible:
            return "not_done"
        return "done"


@contextmanager
def _powered(device: Device, runtime: Runtime, proxy: Proxy) -> Iterator[None]:
    runtime.start()
    runtime.network.start()
    device.start("127.0.0.1", proxy.port)
    try:
        yield
    finally:
        runtime.stop()
        device.stop()
        runtime.network.stop()


def run_kit(
    stack: LocalCloud,
    steps: Sequence[str],
    plant: Callable[[FaultyDevice], None] = lambda _: None,
    *,
    hand: Callable[[Device], Hand] | None = None,
) -> Result:
    """Test a cabinet of its own, with a mistake, on a running stack."""
    device_id = f"KIT-{next(_numbers)}"
    target = replace(_LIMITS, device_id=device_id, registry_id=device_id)
    transcript, runtime = Transcript(), Runtime()
    cells = [
        Cell(n, Accumulator(f"{device_id}-{n}", 90, 95) if n < 3 else None) for n in range(1, 5)
    ]
    hardware = Hardware(device_id, cells, now=lambda: datetime.now(UTC), rng=random.Random(5))  # noqa: S311 - not a secret
    hardware.firmware = replace(hardware.firmware, knows_all_commands=False)
    device = FaultyDevice(hardware, runtime, registry_id=device_id)
    plant(device)
    host = stack.addresses["mqtt_host"]
    broker = (host, stack.addresses["mqtt_port"])
    services_broker = (host, stack.addresses["mqtt_service_port"])
    with (
        Service(stack.operator, services_broker, target, transcript) as service,
        Proxy(broker, transcript, host="127.0.0.1") as proxy,
    ):
        service.register()
        walk = Walk(
            target=target,
            proxy=proxy,
            service=service,
            hand=(hand or SimulatedHand)(device),
            transcript=transcript,
            pace=_PACE,
            say=lambda _: None,
        )
        with _powered(device, runtime, proxy):
            return conduct(walk, [*steps], lambda _: None)
