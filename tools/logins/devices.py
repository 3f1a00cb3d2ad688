"""The devices that a command is about: from the command line, a list, or the service."""

import argparse
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from local.broker import is_device_id
from tools import ToolError
from tools.exports import pages
from tools.fleet import columns
from tools.fleet import text as fleet_text
from tools.service import Service

_SHOWN = 5


class Device(NamedTuple):
    """A device, and what helps people to find its cabinet."""

    device_id: str
    cabinet_id: str = ""
    address: str = ""


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select devices."""
    parser.add_argument("device_ids", nargs="*", metavar="device_id")
    text = "a CSV or JSON file with device_id, or else cabinet_id, of each cabinet"
    parser.add_argument("--from", dest="list", type=Path, metavar="FILE", help=text)
    text = "all cabinets that the service knows; needs its key; simulated ones are left out"
    parser.add_argument("--all-cabinets", action="store_true", help=text)


def selected(args: argparse.Namespace, service: Service | None) -> list[Device]:
    """Return the selected devices, each once, in order. Raises ToolError.

    `service`: needed for --all-cabinets.
    """
    if [bool(args.device_ids), args.list is not None, args.all_cabinets].count(True) != 1:
        raise ToolError("choose devices: their ids, or --from FILE, or --all-cabinets")
    if args.list is not None:
        devices = read_list(args.list)
    elif service is not None:
        devices = [_device(one, "the service") for one in cabinets(service)]
    else:
        devices = [_device({"device_id": one}, "the command line") for one in args.device_ids]
    if not devices:
        raise ToolError("there are no cabinets in the service" if service else "no device is named")
    counts = Counter(device.device_id for device in devices)
    if doubles := [device_id for device_id, count in counts.items() if count > 1]:
        raise ToolError(f"named more than once: {shown(doubles)}")
    return devices


def cabinets(service: Service) -> Iterator[Mapping[str, Any]]:
    """Return all cabinets of the service. Raises ToolError."""
    for page in pages(service, "cabinets"):
        yield from page


def read_list(file: Path) -> list[Device]:
    """Return the devices in a CSV, JSON or JSON Lines file. Raises ToolError, with the row."""
    text = fleet_text.read(file).content
    rows = _json_rows(text, file) if text.lstrip()[:1] in "[{" else _csv_rows(text, file)
    found: dict[str, tuple[int, Device]] = {}
    try:
        for number, row in rows:
            device = _device(row, f"{file}, row {number}")
            if device.device_id in found:
                first, _ = found[device.device_id]
                raise ToolError(
                    f"{file}, row {number}: {device.device_id!r} is on row {first}, too"
                )
            found[device.device_id] = (number, device)
    except csv.Error as error:
        raise ToolError(f"{file} is not CSV: {error}") from None
    return [device for _, device in found.values()]


def shown(device_ids: Iterable[str]) -> str:
    """Return the first ids and the number of the others, for messages."""
    ids = [*device_ids]
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _json_rows(text: str, file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    rows = found = _parsed(text, file)
    if isinstance(found, dict):
        rows = found.get("cabinets") or _of_a_map(found)
    if not isinstance(rows, list):
        raise ToolError(f'{file}: a list of cabinets is expected, or an object with "cabinets"')
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            yield number, {"device_id": row}
        elif not row.get("accumulator_id"):
            yield number, row


def _parsed(text: str, file: Path) -> Any:
    """Return a JSON document, or the list of the documents in JSON Lines. Raises ToolError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        with suppress(ValueError, RecursionError):
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        raise ToolError(f"{file} is not JSON: {error}") from None


def _of_a_map(found: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of a map from cabinets to device ids, as Terraform prints IoT Core's."""
    if not found or not all(isinstance(device_id, str) for device_id in found.values()):
        return None
    return [{"cabinet_id": name, "device_id": device_id} for name, device_id in found.items()]


def _csv_rows(text: str, file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    names = [columns.named(name) or name.strip() for name in reader.fieldnames or ()]
    if not {"device_id", "cabinet_id"} & {*names}:
        found = ", ".join(names) or "none"
        raise ToolError(f"{file} has no column device_id or cabinet_id; its columns: {found}")
    reader.fieldnames = names
    for row in reader:
        if any(row.values()) and not row.get("accumulator_id"):
            yield reader.line_num, row


def _device(row: Mapping[str, Any], where: str) -> Device:
    cabinet_id = str(row.get("cabinet_id") or "").strip()
    device_id = str(row.get("device_id") or cabinet_id).strip()
    if not is_device_id(device_id):
        raise ToolError(
            f"{where}: {device_id!r} cannot be a device's id: use at most 64 letters, digits, dots,"
            " hyphens and underscores; not service or bridge"
        )
    given = str(row.get("address") or "").encode(errors="replace").decode()  # no half characters
    address = re.sub(r"\s+", " ", given).strip()
    return Device(device_id, cabinet_id, address)
