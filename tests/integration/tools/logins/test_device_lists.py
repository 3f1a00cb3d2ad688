"""Lists of devices: CSV and JSON as people have them, and what is said of a bad one."""

from pathlib import Path

import pytest

from tools import ToolError
from tools.logins.devices import Device, read_list


def written(directory: Path, content: bytes | str) -> Path:
    file = directory / "fleet.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    "content",
    [
        "cabinet_id,device_id,address\nC-1,D-1,Tverskaya 1\nC-2,,\n",
        "device_id;cabinet_id;address\r\nD-1;C-1;Tverskaya 1\r\n;C-2;\r\n;;\r\n",
        "\ufeffcabinet_id\tdevice_id\taddress\nC-1\tD-1\tTverskaya 1\nC-2\t\t\n",
        "Cabinet ID,Device-ID,ADDRESS\nC-1,D-1,Tverskaya 1\nC-2,,\n",
        "cabinet_id,device_id,address\nC-1,D-1,Tverskaya 1\nC-2,,\n".encode("utf-16"),
        '{"device_id": "D-1", "cabinet_id": "C-1", "address": "Tverskaya 1"}\n"C-2"',
        '[{"cabinet_id": "C-1", "device_id": "D-1", "address": "Tverskaya  1"}, "C-2"]',
        '{"cabinets": [{"device_id": "D-1", "cabinet_id": "C-1", "address": "Tverskaya 1"},"C-2"]}',
    ],
)
def test_devices_are_read_from_csv_and_json(tmp_path: Path, content: bytes | str) -> None:
    first, second = read_list(written(tmp_path, content))
    assert first == Device("D-1", "C-1", "Tverskaya 1")
    assert second.device_id == "C-2"


def test_a_list_in_windows_1251_keeps_its_addresses(tmp_path: Path) -> None:
    content = "cabinet_id;address\nC-1;Тверская, 1\n".encode("cp1251")
    assert read_list(written(tmp_path, content)) == [Device("C-1", "C-1", "Тверская, 1")]


def test_a_map_from_cabinets_to_device_ids_is_a_list(tmp_path: Path) -> None:
    devices = read_list(written(tmp_path, '{"C-1": "are0123", "C-2": "are0456"}'))
    assert devices == [Device("are0123", "C-1"), Device("are0456", "C-2")]


def test_accumulators_in_the_same_list_are_left_out(tmp_path: Path) -> None:
    table = "cabinet_id,accumulator_id\nC-1,\n,A-1\n"
    lines = '{"cabinet_id": "C-1"}\n{"accumulator_id": "A-1"}\n'
    for content in (table, lines):
        assert [one.device_id for one in read_list(written(tmp_path, content))] == ["C-1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,address\n1,x\n", "has no column device_id or cabinet_id; its columns: id, address"),
        ("device_id\nD-1\nD/2\n", "row 3: 'D/2' cannot be a device's id"),
        ("device_id\nservice\n", "row 2: 'service' cannot be a device's id"),
        ("cabinet_id,address\n,Tverskaya 1\n", "row 2: '' cannot be a device's id"),
        ('["D-1", null]', "row 2: '' cannot be a device's id"),
        ('{"devices": []}', 'an object with "cabinets"'),
        ("[1, ", "is not JSON"),
        ("device_id;address\nD-1;x\nD-1;y\n", "row 3: 'D-1' is on row 2, too"),
        (b"\0\0", "is not a text file"),
        (b"PK\x03\x04", "is a spreadsheet"),
        ("[" * 100_000, "is not JSON"),
        ("device_id\n" + "x" * 200_000, "is not CSV: field larger than field limit"),
    ],
)
def test_a_bad_list_is_refused_with_the_row_and_the_value(
    tmp_path: Path, content: bytes | str, message: str
) -> None:
    with pytest.raises(ToolError, match=message):
        read_list(written(tmp_path, content))


def test_half_a_character_in_an_address_does_not_cost_the_hand_over(tmp_path: Path) -> None:
    content = r'[{"device_id": "D-1", "address": "Tverskaya \ud800"}]'
    assert read_list(written(tmp_path, content)) == [Device("D-1", "", "Tverskaya ?")]


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"none\.csv cannot be read: No such file"):
        read_list(tmp_path / "none.csv")
