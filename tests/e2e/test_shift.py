"""A technician's shift over HTTP: the demo, and what it is made of."""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.command_line import local
from tests.e2e.running import Cabinet, running
from tests.waiting import wait_until


def play(*arguments: str) -> str:
    """The screen of a demo whose every step was true."""
    demo = local("demo", *arguments)
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout + demo.stderr
    return demo.stdout


def test_the_demo_starts_a_cloud_and_is_true_within_twenty_seconds() -> None:
    begun = time.monotonic()
    screen = play()
    assert re.search(r"All \d+ steps are true", screen)
    assert time.monotonic() - begun < 20


def test_the_demo_can_be_played_again_and_again_against_a_running_cloud() -> None:
    with running() as stack:
        for _ in range(2):
            screen = play("--url", stack.url, "--data-dir", str(stack.data_dir))
            assert "all hold" in screen


def test_what_is_issued_is_with_the_technician(cabinet: Cabinet) -> None:
    booking = cabinet.book(3)
    told = cabinet.unlock(booking)
    assert (told.status, told.body["status"]) == (200, "completed")
    cells = [cell["cell_number"] for cell in told.body["cells"]]
    assert cells == [cell["cell_number"] for cell in booking["cells"]]
    cabinet.take(*cells)
    assert cabinet.bag() == sorted(cell["accumulator_id"] for cell in booking["cells"])
    wait_until(lambda: {cabinet.cell(cell)["content"] for cell in cells} == {"empty"})


def test_what_is_left_in_the_cell_goes_back_to_the_cabinet(cabinet: Cabinet) -> None:
    [cell] = cabinet.book()["cells"]
    booking = cabinet.stack.backend.get(f"/v1/bookings?contractor_id={cabinet.technician}")
    assert cabinet.unlock(booking["bookings"][0]).status == 200
    assert cabinet.bag() == [cell["accumulator_id"]]
    cabinet.act("close", cell=cell["cell_number"])
    wait_until(lambda: cabinet.bag() == [])
    assert cabinet.causes(cell["accumulator_id"])[-2:] == ["issued", "not_collected"]


def test_a_swap_and_a_return_bring_the_flat_one_into_the_cabinet(cabinet: Cabinet) -> None:
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
    told = cabinet.unlock(booking)
    assert told.body["status"] == "returning"
    number = told.body["cells"][0]["cell_number"]
    cabinet.act("insert", cell=number, accumulator=flat, charge=6, by=technician)
    cabinet.act("close", cell=number)
    wait_until(lambda: cabinet.booking(booking)["status"] == "completed")
    place = stack.backend.get(f"/v1/accumulators/{flat}")["place"]
    assert place == {"cabinet_id": cabinet.cabinet_id, "cell_number": number}
    assert cabinet.causes(flat)[-2:] == ["swapped", "returned"]


def test_of_twenty_callers_for_six_accumulators_six_get_one(cabinet: Cabinet) -> None:
    def book(number: int) -> tuple[int, str, tuple[str, ...]]:
        body = {"cabinet_id": cabinet.cabinet_id, "kind": "issue", "count": 1}
        answer = cabinet.stack.backend.call(
            "POST", "/v1/bookings", {**body, "contractor_id": f"{cabinet.technician}-{number}"}
        )
        held = tuple(cell["accumulator_id"] for cell in answer.body.get("cells", ()))
        return answer.status, answer.body.get("code", ""), held

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(book, range(20)))
    assert Counter((status, code) for status, code, _ in answers) == {
        (201, ""): 6,
        (409, "not_enough_accumulators"): 14,
    }
    assert len({held for _, _, held in answers if held}) == 6


@pytest.mark.parametrize("result", ["jammed", "stuck"])
def test_a_cell_that_does_not_open_is_told_and_another_is_not_lost(
    cabinet: Cabinet, result: str
) -> None:
    booking = cabinet.book(2)
    broken, sound = booking["cells"]
    cabinet.act("jam", cell=broken["cell_number"], how=result)
    told = cabinet.unlock(booking)
    assert (told.status, told.body["status"]) == (200, "partially_completed")
    assert cabinet.bag() == [sound["accumulator_id"]]
    assert cabinet.cell(broken["cell_number"])["health"] == "faulty"
