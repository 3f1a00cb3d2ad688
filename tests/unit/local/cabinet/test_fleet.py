"""The fleet depends only on its seed, loses no accumulator, and survives a restart."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from local import CannotStart
from local.cabinet.fleet import CHARGED, SHORT_CABINET, Fleet
from local.cabinet.hardware import ActionImpossible, Hardware


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "cabinets.jsonl"


def contents(fleet: Fleet) -> dict[str, list[str | None]]:
    return {
        cabinet_id: [
            cell.accumulator.accumulator_id if cell.accumulator else None
            for cell in device.hardware.cells.values()
        ]
        for cabinet_id, device in fleet.by_id.items()
    }


def charges(hardware: Hardware) -> list[int]:
    inside = [cell.accumulator for cell in hardware.cells.values() if cell.accumulator]
    return [one.battery_charge for one in inside if one.battery_charge is not None]


def charged(hardware: Hardware) -> int:
    return sum(charge >= CHARGED for charge in charges(hardware))


def accumulators(fleet: Fleet) -> Counter[str]:
    carried = [one.accumulator_id for bag in fleet.bags.values() for one in bag]
    return Counter([*carried, *(one for row in contents(fleet).values() for one in row if one)])


def filled_and_free(fleet: Fleet, cabinet_id: str) -> tuple[int, int]:
    row = contents(fleet)[cabinet_id]
    filled = next(number for number, one in enumerate(row, 1) if one)
    return filled, next(number for number, one in enumerate(row, 1) if one is None)


def test_the_same_seed_creates_the_same_fleet() -> None:
    one, same, other = Fleet(4, 12, seed=7), Fleet(4, 12, seed=7), Fleet(4, 12, seed=8)
    assert contents(one) == contents(same) != contents(other)
    assert one.registrations() == same.registrations() != other.registrations()


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_cabinet_has_free_cells_and_all_but_one_have_enough_to_issue(seed: int) -> None:
    fleet = Fleet(6, 12, seed=seed)
    for cabinet_id, device in fleet.by_id.items():
        assert contents(fleet)[cabinet_id].count(None) == 4
        assert charged(device.hardware) == (2 if cabinet_id == SHORT_CABINET else 6)
        assert min(charges(device.hardware)) < CHARGED


def test_no_accumulator_is_in_two_places() -> None:
    assert set(accumulators(Fleet(10, 12)).values()) == {1}


def test_registrations_are_valid_request_bodies() -> None:
    [body] = Fleet(1, 12).registrations()
    lat, lon = body["coords"]["lat"], body["coords"]["lon"]
    assert body == {
        "cabinet_id": "C-001",
        "device_id": "C-001",
        "coords": {"lat": lat, "lon": lon},
        "cells_total": 12,
    }
    assert 55.7 < lat < 55.8
    assert 37.5 < lon < 37.7


def test_a_taken_accumulator_is_in_the_bag_and_can_be_inserted_elsewhere() -> None:
    fleet = Fleet(2, 12)
    everything = accumulators(fleet)
    filled, _ = filled_and_free(fleet, "C-001")
    _, free = filled_and_free(fleet, "C-002")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(filled))
    fleet.by_id["C-002"].act(lambda hardware: hardware.pry_open(free))

    taken = fleet.take("C-001", filled, by="T-7")
    assert fleet.bags["T-7"] == [taken]
    fleet.insert("C-002", free, taken.accumulator_id, by="T-7", battery_charge=12)

    assert fleet.bags["T-7"] == []
    assert fleet.find(taken.accumulator_id) == f"in cell {free} of C-002"
    put = fleet.by_id["C-002"].hardware.cells[free].accumulator
    assert put is not None
    assert put.battery_charge == 12
    assert accumulators(fleet) == everything


def test_an_accumulator_in_another_bag_or_in_a_cell_cannot_be_inserted() -> None:
    fleet = Fleet(1, 12)
    filled, free = filled_and_free(fleet, "C-001")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(filled))
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(free))
    inside = contents(fleet)["C-001"][filled - 1] or ""
    with pytest.raises(ActionImpossible, match=f"it is in cell {filled} of C-001"):
        fleet.insert("C-001", free, inside)
    fleet.take("C-001", filled, by="T-7")
    with pytest.raises(ActionImpossible, match="it is in the bag of T-7"):
        fleet.insert("C-001", free, inside, by="T-8")


def test_an_accumulator_that_does_not_fit_stays_in_the_bag() -> None:
    fleet = Fleet(1, 12)
    filled, free = filled_and_free(fleet, "C-001")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(filled))
    taken = fleet.take("C-001", filled)
    with pytest.raises(ActionImpossible, match="is closed"):
        fleet.insert("C-001", free, taken.accumulator_id)
    assert fleet.bags["technician"] == [taken]


def test_an_accumulator_with_an_unknown_id_can_be_inserted() -> None:
    fleet = Fleet(1, 12)
    _, free = filled_and_free(fleet, "C-001")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(free))
    fleet.insert("C-001", free, "F-0001", battery_charge=7)
    assert fleet.find("F-0001") == f"in cell {free} of C-001"


def test_an_accumulator_can_be_duplicated_on_request() -> None:
    fleet = Fleet(1, 12)
    _, free = filled_and_free(fleet, "C-001")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(free))
    fleet.duplicate("A-0001")
    fleet.insert("C-001", free, "A-0001")
    assert accumulators(fleet)["A-0001"] == 2


CHANGES: list[Callable[[Fleet, int], object]] = [
    lambda fleet, cell: fleet.by_id["C-001"].act(lambda hardware: hardware.close_door(cell)),
    lambda fleet, cell: fleet.take("C-001", cell, by="T-7"),
    lambda fleet, _: fleet.duplicate("A-0001", by="T-7"),
]


@pytest.mark.parametrize("change", CHANGES, ids=["a door", "a bag and a cell", "a bag"])
def test_each_change_is_in_the_file_before_the_action_returns(
    state_file: Path, change: Callable[[Fleet, int], object]
) -> None:
    fleet = Fleet(2, 12, state_file=state_file)
    filled, _ = filled_and_free(fleet, "C-001")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(filled))
    change(fleet, filled)

    found = Fleet(2, 12, state_file=state_file)  # the first one was not stopped, as after kill -9
    for cabinet_id, device in fleet.by_id.items():
        assert found.by_id[cabinet_id].hardware.cells == device.hardware.cells
    assert found.bags == fleet.bags


def test_the_file_is_not_written_when_nothing_changed(state_file: Path) -> None:
    fleet = Fleet(1, 12, state_file=state_file)
    state_file.unlink()
    fleet.by_id["C-001"].act(lambda hardware: hardware.state_report())
    assert not state_file.exists()


def test_a_restarted_fleet_has_new_boot_ids(state_file: Path) -> None:
    boots = {Fleet(1, 12, state_file=state_file).by_id["C-001"].hardware.boot_id for _ in range(3)}
    assert len(boots) == 3


def test_a_larger_fleet_keeps_the_existing_cabinets(state_file: Path) -> None:
    small = Fleet(1, 12, state_file=state_file)
    large = Fleet(3, 20, seed=9, state_file=state_file)
    assert contents(large)["C-001"] == contents(small)["C-001"]
    assert len(contents(large)["C-003"]) == 20
    assert set(accumulators(large).values()) == {1}


def test_a_smaller_fleet_keeps_the_state_of_all_cabinets(state_file: Path) -> None:
    before = contents(Fleet(3, 12, state_file=state_file))
    Fleet(1, 12, state_file=state_file)
    assert contents(Fleet(3, 12, state_file=state_file)) == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "{}\n",
        "{",
        '{"cabinets": {"C-001": {}}, "bags": {}}\n',
        '{"cabinets": {}, "bags": [1]}\n',
        '{"cabinets": {}, "bags": {"T-7": [1]}}\n',
    ],
    ids=repr,
)
def test_a_damaged_file_is_reported_in_one_line(state_file: Path, text: str) -> None:
    state_file.write_text(text)
    with pytest.raises(CannotStart, match="delete it to start with new cabinets") as refusal:
        Fleet(1, 12, state_file=state_file)
    assert "\n" not in str(refusal.value)
    assert str(state_file) in str(refusal.value)


def test_the_file_has_a_line_for_each_cabinet_and_for_each_change(state_file: Path) -> None:
    fleet = Fleet(2, 12, state_file=state_file)
    fleet.by_id["C-002"].act(lambda hardware: hardware.pry_open(1))
    lines = [json.loads(line) for line in state_file.read_text().splitlines()]
    assert [[*line["cabinets"]] for line in lines] == [["C-001"], ["C-002"], [], ["C-002"]]
    assert list(state_file.parent.iterdir()) == [state_file]


def test_an_incomplete_last_line_is_ignored(state_file: Path) -> None:
    fleet = Fleet(1, 12, state_file=state_file)
    before = contents(fleet)
    filled, _ = filled_and_free(fleet, "C-001")
    fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(filled))
    fleet.take("C-001", filled)
    state_file.write_text(state_file.read_text()[:-10])
    assert contents(Fleet(1, 12, state_file=state_file)) == before


def test_the_file_is_rewritten_before_it_grows_too_long(state_file: Path) -> None:
    fleet = Fleet(1, 12, state_file=state_file)
    for _ in range(400):
        fleet.by_id["C-001"].act(lambda hardware: hardware.pry_open(1))
        fleet.by_id["C-001"].act(lambda hardware: hardware.close_door(1))
    assert state_file.stat().st_size < 1_100_000
    assert contents(Fleet(1, 12, state_file=state_file)) == contents(fleet)
