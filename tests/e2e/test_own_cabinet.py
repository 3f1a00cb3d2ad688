"""Follow docs/your-own-cabinet.md: a cabinet outside the simulation completes a booking."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support import pages
from tests.support.database import fast_directory
from tests.support.local_cloud import LocalCloud, check_invariants, running
from tests.support.programs import needs
from tests.support.shell import Shell, shell_in
from tests.support.waiting import wait_until

PAGE = "docs/your-own-cabinet.md"
[DEFINE] = pages.shell_blocks(PAGE, "Start a cloud without cabinets")
REGISTER, BOOK = pages.shell_blocks(PAGE, "A cabinet in a script")
BY_HAND = pages.shell_blocks(PAGE, "A cabinet by hand")
[SCRIPT] = [block.text for block in pages.blocks(PAGE) if block.language == "python"]

pytestmark = needs("bash", "curl")


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalCloud]:
    """A local cloud without cabinets, started as the page says."""
    start = next(block.text for block in pages.blocks(PAGE) if block.is_shell)
    assert start.endswith("up --cabinets 0")
    with running("--cabinets", "0", settings={"UNLOCK_WAIT_SECONDS": "20"}) as stack:
        yield stack
        check_invariants(stack)


@pytest.fixture
def shell(stack: LocalCloud) -> Iterator[Shell]:
    """A shell with the shortcuts of the page."""
    with fast_directory() as directory, shell_in(directory, stack) as shell:
        shell.run(DEFINE)
        yield shell


def test_a_cloud_can_start_without_cabinets(stack: LocalCloud) -> None:
    assert stack.control.cabinets() == []
    names = {one["cabinet_id"] for one in stack.operator.get("/v1/cabinets")["cabinets"]}
    assert names <= {"MINE", "BY-HAND"}


def test_the_python_cabinet_of_the_page_completes_a_booking(
    stack: LocalCloud, shell: Shell
) -> None:
    shell.run(REGISTER)
    script = shell.directory / "my_cabinet.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script)]
    with subprocess.Popen(command, env=shell.environment, stdout=subprocess.DEVNULL) as cabinet:
        try:
            wait_until(lambda: stack.operator.get("/v1/cabinets/MINE")["online"])
            output = shell.run(BOOK)
        finally:
            cabinet.terminate()
    assert '"status":"completed"' in output
    assert "The one with the highest charge, `MY-1`" in pages.read(PAGE)
    accumulator = stack.operator.get("/v1/accumulators/MY-1")
    assert (accumulator["place"], accumulator["battery_charge"]) == ({"contractor_id": "T-7"}, 97)


@needs("mosquitto_pub")
def test_the_shell_cabinet_of_the_page_completes_a_booking(stack: LocalCloud, shell: Shell) -> None:
    output = [shell.run(block) for block in BY_HAND][-1]
    movements = json.loads(output.splitlines()[-1])["movements"]
    assert [one["cause"] for one in movements] == ["issued", "reported", "registered"]
    command = json.loads((shell.directory / "command.json").read_text())
    assert (command["kind"], command["cells"]) == ("unlock", [1])
    unlocked = json.loads((shell.directory / "unlocked.json").read_text())
    assert (unlocked["status"], unlocked["command_id"]) == ("completed", command["command_id"])
    accumulator = stack.operator.get("/v1/accumulators/OURS-1")
    assert accumulator["place"] == {"contractor_id": "T-8"}
    wait_until(lambda: is_closed_and_empty(stack))


def is_closed_and_empty(stack: LocalCloud) -> bool:
    cell = stack.operator.get("/v1/cabinets/BY-HAND")["cells"][0]
    return (cell["door"], cell["content"]) == ("closed", "empty")
