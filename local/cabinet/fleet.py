"""The simulated cabinets of a local cloud, and the bags of the people who carry accumulators.

A change is written to the state file before any message reports it, so that a `kill -9` loses no
change that was reported.
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
from local.cabinet.hardware import Accumulator, ActionImpossible, Cell, Hardware
from local.cabinet.runtime import Runtime
from local.cabinet.state_file import StateFile

SHORT_CABINET = "C-002"  # has two charged accumulators: a booking of three is refused
CHARGED = 80  # percent
REPORT_SECONDS = 600
CHARGING_SECONDS = 60
MOSCOW = (55.7558, 37.6176)
DEFAULT_BAG = "technician"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Fleet:
    """Cabinets C-001, C-002, …; each is a device with the same id."""

    def __init__(
        self,
        count: int,
        cells: int,
        *,
        seed: int = 1,
        state_file: Path | None = None,
        registry_id: str = "local",
    ) -> None:
        """Read the cabinets from the state file; make those that it lacks from the seed."""
        self.bags: dict[str, list[Accumulator]] = {}
        self.runtime = Runtime(self._save)
        self._seed = seed
        self._state_file = StateFile(state_file)
        self._saved: dict[str, str] = {}
        self._changed_bags: set[str] = set()
        known = self._load()
        unused_ids = self._unused_ids()
        self.by_id: dict[str, Device] = {}
        for number in range(1, count + 1):
            cabinet_id = f"C-{number:03}"
            hardware = known.get(cabinet_id) or Hardware(
                cabinet_id,
                _make_cells(cells, cabinet_id, seed, unused_ids),
                now=_utc_now,
                rng=self._rng(cabinet_id),
            )
            self.by_id[cabinet_id] = Device(hardware, self.runtime, registry_id=registry_id)
            self._saved[cabinet_id] = json.dumps(hardware.to_json())
        self._rewrite_state_file()

    def start(
        self,
        host: str,
        port: int,
        *,
        seconds: float = 15,
        passwords: Mapping[str, str] | None = None,
        ca_file: str = "",
    ) -> None:
        """Boot all cabinets; return when every one is online. Raises CannotStart.

        `passwords`: by device id, if not the local cloud's; by TLS with `ca_file`.
        """
        self.runtime.start()
        self.runtime.network.start()
        for device in self.by_id.values():
            password = (passwords or {}).get(device.device_id, DEVICE_PASSWORD)
            device.start(host, port, password=password, ca_file=ca_file)
            self.runtime.call_every(REPORT_SECONDS, device.report)
        self.runtime.call_every(CHARGING_SECONDS, self._charge)
        for device in self.by_id.values():
            if not device.wait_online(seconds):
                self.stop()
                raise CannotStart(
                    f"cabinet {device.device_id} could not subscribe at {host}:{port} within"
                    f" {seconds:g} s: check that the broker runs and knows the device"
                )

    def stop(self) -> None:
        """Disconnect all cabinets, and save their state."""
        self.runtime.stop()
        for device in self.by_id.values():
            device.stop()
        self.runtime.network.stop()
        self._save(*self.by_id)

    def registrations(self) -> list[dict[str, Any]]:
        """Return a body of POST /v1/cabinets for each cabinet."""
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
        """Return the ids of all accumulators in cells and bags."""
        in_cells = [
            cell.accumulator
            for device in self.by_id.values()
            for cell in device.hardware.cells.values()
            if cell.accumulator is not None
        ]
        in_bags = [accumulator for bag in self.bags.values() for accumulator in bag]
        return sorted({accumulator.accumulator_id for accumulator in in_cells + in_bags})

    # --- Accumulators in people's hands -------------------------------------------------------

    def take(self, cabinet_id: str, cell_number: int, *, by: str = DEFAULT_BAG) -> Accumulator:
        """Move the accumulator from an open cell to the bag of `by`."""

        def move_to_bag(hardware: Hardware) -> Accumulator:
            accumulator = hardware.remove(cell_number)
            self.bags.setdefault(by, []).append(accumulator)
            self._changed_bags.add(by)
            return accumulator

        return self.by_id[cabinet_id].act(move_to_bag)

    def insert(
        self,
        cabinet_id: str,
        cell_number: int,
        accumulator_id: str,
        *,
        by: str = DEFAULT_BAG,
        battery_charge: int | None = None,
    ) -> Accumulator:
        """Move an accumulator from the bag of `by` to an open cell.

        An accumulator with an unknown id comes from a scooter. `battery_charge`: its charge now.
        """

        def move_to_cell(hardware: Hardware) -> Accumulator:
            bag = self.bags.get(by, [])
            carried = next((one for one in bag if one.accumulator_id == accumulator_id), None)
            if carried is None and (where := self.find(accumulator_id)):
                raise ActionImpossible(f"{by} does not carry {accumulator_id}: it is {where}")
            accumulator = carried or Accumulator(accumulator_id)
            if battery_charge is not None:
                accumulator = replace(accumulator, battery_charge=battery_charge)
            hardware.insert(cell_number, accumulator)
            if carried:
                bag.remove(carried)
                self._changed_bags.add(by)
            return accumulator

        return self.by_id[cabinet_id].act(move_to_cell)

    def duplicate(self, accumulator_id: str, *, by: str = DEFAULT_BAG) -> None:
        """Put another accumulator with this id into a bag."""
        with self.runtime.lock:
            self.bags.setdefault(by, []).append(Accumulator(accumulator_id))
            self._changed_bags.add(by)
            self._save()

    def find(self, accumulator_id: str) -> str | None:
        """Describe where an accumulator is; None if it is in no bag or cell."""
        for name, bag in self.bags.items():
            if any(one.accumulator_id == accumulator_id for one in bag):
                return f"in the bag of {name}"
        for device in self.by_id.values():
            for cell in device.hardware.cells.values():
                if cell.accumulator and cell.accumulator.accumulator_id == accumulator_id:
                    return f"in cell {cell.cell_number} of {device.device_id}"
        return None

    # --- Charging and the state file ----------------------------------------------------------

    def _charge(self) -> None:
        with self.runtime.lock:
            for device in self.by_id.values():
                device.hardware.charge(CHARGING_SECONDS)
            self._save(*self.by_id)

    def _save(self, *cabinet_ids: str) -> None:
        """Append the changes of these cabinets, and of all bags, to the state file."""
        with self.runtime.lock:
            texts = {id_: json.dumps(self.by_id[id_].hardware.to_json()) for id_ in cabinet_ids}
            changed = {id_: text for id_, text in texts.items() if self._saved.get(id_) != text}
            if changed or self._changed_bags:
                self._saved |= changed
                bags = {
                    name: [asdict(one) for one in self.bags[name]] for name in self._changed_bags
                }
                self._changed_bags.clear()
                self._state_file.append(changed, bags)
            if self._state_file.needs_rewrite:
                self._rewrite_state_file()

    def _rewrite_state_file(self) -> None:
        bags = {name: [asdict(one) for one in bag] for name, bag in self.bags.items()}
        self._state_file.rewrite(self._saved, bags)

    def _load(self) -> dict[str, Hardware]:
        known, bags = self._state_file.read()
        try:
            for name, bag in bags.items():
                self.bags[name] = [Accumulator(**one) for one in bag]
            self._saved = {key: json.dumps(value) for key, value in known.items()}
            return {
                cabinet_id: Hardware.from_json(data, now=_utc_now, rng=self._rng(cabinet_id))
                for cabinet_id, data in known.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._state_file.damaged(error) from error

    def _rng(self, cabinet_id: str) -> random.Random:
        return random.Random(f"{self._seed}/{cabinet_id}/behaviour")  # noqa: S311 - not a secret

    def _unused_ids(self) -> Iterator[str]:
        """Generate accumulator ids that are not in the state file."""
        text = "".join(self._saved.values()) + repr(self.bags).replace("'", '"')
        ids = (f"A-{number:04}" for number in counting(1))
        return (accumulator_id for accumulator_id in ids if f'"{accumulator_id}"' not in text)


def _make_cells(
    count: int, cabinet_id: str, seed: int, accumulator_ids: Iterator[str]
) -> list[Cell]:
    """Return cells of which two thirds are occupied, mostly by charged accumulators."""
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
