"""A technician's shift over HTTP: the demo, and its steps one by one."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import pages
from tests.support.command_line import local
from tests.support.local_cloud import Cabinet, running
from tests.support.waiting import wait_until


def run_demo(*arguments: str) -> str:
    """Run the demo to its end; return its output."""
    demo = local("demo", *arguments)
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout + demo.stderr
    return demo.stdout


def test_the_demo_starts_a_cloud_and_succeeds() -> None:
    output = run_demo()
    assert re.search(r"All \d+ steps succeeded", output)
    assert missing_lines(output) == []


def missing_lines(output: str) -> list[str]:
    """Return the lines of the README's example that the demo did not print, ids aside."""
    [shown] = [one.text for one in pages.blocks("README.md") if "who         does" in one.text]
    printed = without_ids(output).splitlines()
    return [line for line in without_ids(shown).splitlines() if line not in (*printed, "  …")]


def without_ids(text: str) -> str:
    return re.sub(r"-\d{6}", "-NNNNNN", text)


@pytest.mark.slow
def test_the_slow_demo_begins_with_the_address_of_the_console() -> None:
    with running() as stack:
        arguments = ["--url", stack.url, "--data-dir", str(stack.data_dir)]
        output = run_demo("--slow", "0.01", *arguments)
        assert f"Watch the shift in the console: {stack.url}/\n" in output
        assert output.index("console") < output.index("who")
        assert "all hold" in output


@pytest.mark.slow
def test_the_demo_can_be_repeated_against_a_running_cloud() -> None:
    with running() as stack:
        for _ in range(2):
            output = run_demo("--url", stack.url, "--data-dir", str(stack.data_dir))
            assert "all hold" in output


def test_an_issued_accumulator_is_with_the_technician(cabinet: Cabinet) -> None:
    booking = cabinet.book(3)
    response = cabinet.unlock(booking)
    assert (response.status, response.body["status"]) == (200, "completed")
    cells = [cell["cell_number"] for cell in response.body["cells"]]
    assert cells == [cell["cell_number"] for cell in booking["cells"]]
    cabinet.take(*cells)
    assert cabinet.bag() == sorted(cell["accumulator_id"] for cell in booking["cells"])
    wait_until(lambda: {cabinet.cell(cell)["content"] for cell in cells} == {"empty"})


def test_an_issued_accumulator_left_in_its_cell_returns_to_the_cabinet(cabinet: Cabinet) -> None:
    [cell] = cabinet.book()["cells"]
    booking = cabinet.stack.backend.get(f"/v1/bookings?contractor_id={cabinet.technician}")
    assert cabinet.unlock(booking["bookings"][0]).status == 200
    assert cabinet.bag() == [cell["accumulator_id"]]
    cabinet.act("close", cell=cell["cell_number"])
    wait_until(lambda: cabinet.bag() == [])
    assert cabinet.movement_causes(cell["accumulator_id"])[-2:] == ["issued", "not_collected"]


def test_a_swap_and_a_return_move_the_flat_accumulator_into_the_cabinet(cabinet: Cabinet) -> None:
    stack, technician = cabinet.stack, cabinet.technician
    issued = cabinet.unlock(cabinet.book()).body["cells"][0]
    cabinet.take(issued["cell_number"])
    flat, scooter = f"F-{technician}", f"S-{technician}"
    body = {
        "scooter_id": scooter,
        "contractor_id": technician,
        "installed_accumulator_id": issued["accumulator_id"],
        "removed_accumulator_id": flat,
        "removed_battery_charge": 6,
    }
    swap = stack.backend.post("/v1/swaps", body)
    assert swap["installed"]["place"] == {"scooter_id": scooter}
    assert cabinet.bag() == [flat]
    booking = cabinet.book(1, kind="return")
    response = cabinet.unlock(booking)
    assert response.body["status"] == "returning"
    number = response.body["cells"][0]["cell_number"]
    cabinet.act("insert", cell=number, accumulator=flat, charge=6, by=technician)
    cabinet.act("close", cell=number)
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    place = stack.backend.get(f"/v1/accumulators/{flat}")["place"]
    assert place == {"cabinet_id": cabinet.cabinet_id, "cell_number": number}
    assert cabinet.movement_causes(flat)[-2:] == ["swapped", "returned"]


def test_of_20_callers_competing_for_6_accumulators_6_succeed(cabinet: Cabinet) -> None:
    def book(number: int) -> tuple[int, str, tuple[str, ...]]:
        body = {"cabinet_id": cabinet.cabinet_id, "kind": "issue", "count": 1}
        response = cabinet.stack.backend.call(
            "POST", "/v1/bookings", {**body, "contractor_id": f"{cabinet.technician}-{number}"}
        )
        held = tuple(cell["accumulator_id"] for cell in response.body.get("cells", ()))
        return response.status, response.body.get("code", ""), held

    with ThreadPoolExecutor(20) as threads:
        responses = list(threads.map(book, range(20)))
    assert Counter((status, code) for status, code, _ in responses) == {
        (201, ""): 6,
        (409, "not_enough_accumulators"): 14,
    }
    assert len({held for _, _, held in responses if held}) == 6


@pytest.mark.parametrize("result", ["jammed", "stuck"])
def test_a_cell_that_does_not_open_becomes_faulty_and_the_other_cells_are_issued(
    cabinet: Cabinet, result: str
) -> None:
    booking = cabinet.book(2)
    broken, sound = booking["cells"]
    cabinet.act("jam", cell=broken["cell_number"], how=result)
    response = cabinet.unlock(booking)
    assert (response.status, response.body["status"]) == (200, "partially_completed")
    assert cabinet.bag() == [sound["accumulator_id"]]
    assert cabinet.cell(broken["cell_number"])["health"] == "faulty"
