"""The simulated cabinets of one local cloud, and the bags of the people who carry accumulators.

The physical world is kept in one file, written before anyone hears of a change, so that it is
found as it was even after a kill -9.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import count as counting
from pathlib import Path
from typing import Any

from local import CannotStart
from local.broker import DEVICE_PASSWORD
from local.cabinet.device import Device
from local.cabinet.hardware import Accumulator, Cell, Hardware, Impossible
from local.cabinet.memory import Memory
from local.cabinet.world import World

SHORT_CABINET = "C-002"  # has only two accumulators to issue, so that a booking of three is refused
CHARGED = 80
REPORT_SECONDS = 600
CHARGING_SECONDS = 60
MOSCOW = (55.7558, 37.6176)
DEFAULT_BAG = "technician"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Fleet:
    """Cabinets C-001, C-002, … by id; each is a device of the same id."""

    def __init__(
        self,
        count: int,
        cells: int,
        *,
        seed: int = 1,
        state_file: Path | None = None,
        registry_id: str = "local",
    ) -> None:
        """Take the cabinets from the file as they were; make those that it lacks by the seed."""
        self.charges = True  # whether accumulators charge as time passes
        self.bags: dict[str, list[Accumulator]] = {}
        self.world = World(self._save)
        self._seed = seed
        self._memory = Memory(state_file)
        self._written: dict[str, str] = {}
        self._touched: set[str] = set()  # bags
        known = self._load()
        fresh_ids = self._fresh_ids()
        self.by_id: dict[str, Device] = {}
        for number in range(1, count + 1):
            cabinet_id = f"C-{number:03}"
            hardware = known.get(cabinet_id) or Hardware(
                cabinet_id,
                _make_cells(cells, cabinet_id, seed, fresh_ids),
                now=_utc_now,
                rng=self._rng(cabinet_id),
            )
            self.by_id[cabinet_id] = Device(hardware, self.world, registry_id=registry_id)
            self._written[cabinet_id] = json.dumps(hardware.to_json())
        self._write_whole()

    def start(
        self,
        host: str,
        port: int,
        *,
        seconds: float = 15,
        passwords: Mapping[str, str] | None = None,
        ca_file: str = "",
    ) -> None:
        """Power all cabinets up; return when commands reach every one of them.

        `passwords`: by device id, where each has its own; with the file of a CA by TLS.
        """
        self.world.start()
        self.world.network.start()
        for device in self.by_id.values():
            password = (passwords or {}).get(device.device_id, DEVICE_PASSWORD)
            device.start(host, port, password=password, ca_file=ca_file)
            self.world.every(REPORT_SECONDS, device.report)
        self.world.every(CHARGING_SECONDS, self._charge)
        for device in self.by_id.values():
            if not device.wait_online(seconds):
                self.stop()
                raise CannotStart(
                    f"cabinet {device.device_id} could not subscribe at {host}:{port} within"
                    f" {seconds:g} s: is the broker there, and does it know the device?"
                )

    def stop(self) -> None:
        """Take all cabinets off the network; nothing waits for their answers any more."""
        self.world.stop()
        for device in self.by_id.values():
            device.stop()
        self.world.network.stop()
        self._save(*self.by_id)

    def registrations(self) -> list[dict[str, Any]]:
        """Return what POST /v1/cabinets wants to know, one body a cabinet."""
        return [
            {
                "cabinet_id": device.device_id,
                "device_id": device.device_id,
                "coords": _coords(device.device_id, self._seed),
                "cells_total": len(device.hardware.cells),
            }
            for device in self.by_id.values()
        ]

    def accumulator_ids(self) -> list[str]:
        """Return every accumulator there is, in cells and in bags."""
        in_cells = [
            cell.accumulator
            for device in self.by_id.values()
            for cell in device.hardware.cells.values()
            if cell.accumulator is not None
        ]
        in_bags = [accumulator for bag in self.bags.values() for accumulator in bag]
        return sorted({accumulator.accumulator_id for accumulator in in_cells + in_bags})

    # What people do with accumulators

    def take(self, cabinet_id: str, cell_number: int, *, by: str = DEFAULT_BAG) -> Accumulator:
        """Take the accumulator out of an open cell into somebody's bag."""

        def into_bag(hardware: Hardware) -> Accumulator:
            accumulator = hardware.remove(cell_number)
            self.bags.setdefault(by, []).append(accumulator)
            self._touched.add(by)
            return accumulator

        return self.by_id[cabinet_id].act(into_bag)

    def insert(
        self,
        cabinet_id: str,
        cell_number: int,
        accumulator_id: str,
        *,
        by: str = DEFAULT_BAG,
        battery_charge: int | None = None,
    ) -> Accumulator:
        """Put an accumulator from somebody's bag into an open cell.

        One that this world has never seen comes from a scooter. `battery_charge`: what it has now.
        """

        def out_of_bag(hardware: Hardware) -> Accumulator:
            bag = self.bags.get(by, [])
            carried = next((one for one in bag if one.accumulator_id == accumulator_id), None)
            if carried is None and (where := self.find(accumulator_id)):
                raise Impossible(f"{by} does not carry {accumulator_id}: it is {where}")
            accumulator = carried or Accumulator(accumulator_id)
            if battery_charge is not None:
                accumulator = replace(accumulator, battery_charge=battery_charge)
            hardware.insert(cell_number, accumulator)
            if carried:
                bag.remove(carried)
                self._touched.add(by)
            return accumulator

        return self.by_id[cabinet_id].act(out_of_bag)

    def duplicate(self, accumulator_id: str, *, by: str = DEFAULT_BAG) -> None:
        """Put one more accumulator that bears this id into a bag, as a forger would."""
        with self.world.lock:
            self.bags.setdefault(by, []).append(Accumulator(accumulator_id))
            self._touched.add(by)
            self._save()

    def find(self, accumulator_id: str) -> str | None:
        """Say where in this world an accumulator is, if it is anywhere."""
        for name, bag in self.bags.items():
            if any(one.accumulator_id == accumulator_id for one in bag):
                return f"in the bag of {name}"
        for device in self.by_id.values():
            for cell in device.hardware.cells.values():
                if cell.accumulator and cell.accumulator.accumulator_id == accumulator_id:
                    return f"in cell {cell.cell_number} of {device.device_id}"
        return None

    # Time and memory

    def _charge(self) -> None:
        if not self.charges:
            return
        with self.world.lock:
            for device in self.by_id.values():
                device.hardware.charge(CHARGING_SECONDS)
            self._save(*self.by_id)

    def _save(self, *cabinet_ids: str) -> None:
        """Append to the file what has changed in these cabinets, and in bags."""
        with self.world.lock:
            texts = {id_: json.dumps(self.by_id[id_].hardware.to_json()) for id_ in cabinet_ids}
            changed = {id_: text for id_, text in texts.items() if self._written.get(id_) != text}
            if changed or self._touched:
                self._written |= changed
                bags = {name: [asdict(one) for one in self.bags[name]] for name in self._touched}
                self._touched.clear()
                self._memory.add(changed, bags)
            if self._memory.is_long:
                self._write_whole()

    def _write_whole(self) -> None:
        bags = {name: [asdict(one) for one in bag] for name, bag in self.bags.items()}
        self._memory.begin(self._written, bags)

    def _load(self) -> dict[str, Hardware]:
        known, bags = self._memory.read()
        try:
            for name, bag in bags.items():
                self.bags[name] = [Accumulator(**one) for one in bag]
            self._written = {key: json.dumps(value) for key, value in known.items()}
            return {
                cabinet_id: Hardware.from_json(data, now=_utc_now, rng=self._rng(cabinet_id))
                for cabinet_id, data in known.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._memory.unreadable(error) from error

    def _rng(self, cabinet_id: str) -> random.Random:
        return random.Random(f"{self._seed}/{cabinet_id}/behaviour")  # noqa: S311 - not a secret

    def _fresh_ids(self) -> Iterator[str]:
        """Give ids that nothing in the file bears, sleeping cabinets included."""
        text = "".join(self._written.values()) + repr(self.bags).replace("'", '"')
        ids = (f"A-{number:04}" for number in counting(1))
        return (accumulator_id for accumulator_id in ids if f'"{accumulator_id}"' not in text)


def _make_cells(
    count: int, cabinet_id: str, seed: int, accumulator_ids: Iterator[str]
) -> list[Cell]:
    """Fill two thirds of the cells, mostly with charged accumulators."""
    rng = random.Random(f"{seed}/{cabinet_id}/cells")  # noqa: S311 - not a secret
    filled = sorted(rng.sample(range(1, count + 1), round(count * 2 / 3)))
    charged = 2 if cabinet_id == SHORT_CABINET else round(len(filled) * 0.75)
    charges = [rng.randint(CHARGED, 100) for _ in filled[:charged]]
    charges += [rng.randint(5, CHARGED // 2) for _ in filled[charged:]]
    rng.shuffle(charges)
    inside = {
        number: Accumulator(next(accumulator_ids), charge, rng.randint(75, 100))
        for number, charge in zip(filled, charges, strict=True)
    }
    return [Cell(number, inside.get(number)) for number in range(1, count + 1)]


def _coords(cabinet_id: str, seed: int) -> dict[str, float]:
    rng = random.Random(f"{seed}/{cabinet_id}/place")  # noqa: S311 - not a secret
    lat, lon = (round(centre + rng.uniform(-0.03, 0.03), 6) for centre in MOSCOW)
    return {"lat": lat, "lon": lon}
