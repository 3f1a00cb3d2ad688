"""docs/your-own-cabinet.md to the letter: a cabinet that is not ours takes part."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database import fast_directory
from tests.e2e.command_line import environment
from tests.e2e.conftest import assert_sound
from tests.e2e.running import Running, running
from tests.processes import ROOT
from tests.waiting import wait_until

PAGE = (ROOT / "docs" / "your-own-cabinet.md").read_text()
_START, DEFINE, REGISTER, BOOK, *BY_HAND = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
[SCRIPT] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

BASH = shutil.which("bash") or ""
pytestmark = pytest.mark.skipif(
    not BASH or not shutil.which("curl"), reason="the page needs bash and curl"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Running]:
    """A local cloud without cabinets, started as the page says."""
    assert "up --cabinets 0" in _START
    with running("--cabinets", "0", settings={"UNLOCK_WAIT_SECONDS": "20"}) as stack:
        yield stack
        assert_sound(stack)


@pytest.fixture
def desk(stack: Running) -> Iterator["Desk"]:
    with fast_directory() as directory:
        yield Desk(stack, directory)


class Desk:
    """Where somebody follows the page."""

    def __init__(self, stack: Running, directory: Path) -> None:
        self.directory = directory
        path = f"{Path(sys.executable).parent}:{environment({})['PATH']}"
        places = {"URL": stack.url, "MQTT_PORT": str(stack.addresses["mqtt_port"]), "PATH": path}
        self.environment = environment({}) | places

    def type(self, *blocks: str) -> str:
        """What the shell answers to these blocks of the page."""
        did = subprocess.run(
            [BASH, "-euo", "pipefail", "-c", "\n".join([DEFINE, *blocks])],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert did.returncode == 0, did.stdout + did.stderr
        return did.stdout


def test_with_no_cabinets_there_is_none(stack: Running) -> None:
    assert stack.control.cabinets() == []
    names = {one["cabinet_id"] for one in stack.operator.get("/v1/cabinets")["cabinets"]}
    assert names <= {"MINE", "BY-HAND"}


def test_a_cabinet_in_a_script_takes_part(stack: Running, desk: Desk) -> None:
    desk.type(REGISTER)
    script = desk.directory / "my_cabinet.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script)]
    with subprocess.Popen(command, env=desk.environment, stdout=subprocess.DEVNULL) as cabinet:
        try:
            wait_until(lambda: stack.operator.get("/v1/cabinets/MINE")["online"])
            told = desk.type(BOOK)
        finally:
            cabinet.terminate()
    assert '"status":"completed"' in told
    assert "The fullest one, `MY-1`" in PAGE
    mine = stack.operator.get("/v1/accumulators/MY-1")
    assert (mine["place"], mine["battery_charge"]) == ({"contractor_id": "T-7"}, 97)


@pytest.mark.skipif(
    not (shutil.which("mosquitto_pub") and shutil.which("mosquitto_sub")),
    reason="mosquitto_pub and mosquitto_sub are not installed",
)
def test_a_cabinet_by_hand_takes_part(stack: Running, desk: Desk) -> None:
    movements = json.loads(desk.type(*BY_HAND).splitlines()[-1])["movements"]
    assert [one["cause"] for one in movements] == ["issued", "reported", "registered"]
    command = json.loads((desk.directory / "command.json").read_text())
    assert (command["kind"], command["cells"]) == ("unlock", [1])
    unlocked = json.loads((desk.directory / "unlocked.json").read_text())
    assert (unlocked["status"], unlocked["command_id"]) == ("completed", command["command_id"])
    ours = stack.operator.get("/v1/accumulators/OURS-1")
    assert ours["place"] == {"contractor_id": "T-8"}
    wait_until(lambda: is_closed_and_empty(stack))


def is_closed_and_empty(stack: Running) -> bool:
    cell = stack.operator.get("/v1/cabinets/BY-HAND")["cells"][0]
    return (cell["door"], cell["content"]) == ("closed", "empty")
