"""The deployed broker, its limits and the bridge, while a device with a good login floods."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.support.processes import ROOT
from tests.support.programs import needs

pytestmark = [pytest.mark.slow, needs("mosquitto", "nft")]

LIMIT_MS = 100
SECONDS = 5


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Any]]:
    """Run a neighbour without a flood, and beside each of two, in a network of its own."""
    namespace = [shutil.which("unshare") or "unshare", "--net"]
    if os.geteuid() != 0 or subprocess.run([*namespace, "true"], check=False).returncode:
        pytest.skip("needs the right to create a network namespace")
    command = [sys.executable, "-m", "tests.support.flood_run"]
    scenarios = [str(SECONDS), "nothing", "flood-1", "flood-0", "large"]
    done = subprocess.run(
        [*namespace, *command, *scenarios], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("flood", ["flood-1", "flood-0", "large"])
def test_a_flood_delays_a_neighbours_message_by_less_than_100_ms(
    measured: dict[str, dict[str, Any]], flood: str
) -> None:
    for place in ("bridge_ms", "function_ms"):
        alone, beside = (measured[one][place]["median"] for one in ("nothing", flood))
        assert beside - alone < LIMIT_MS, measured


@pytest.mark.parametrize("flood", ["flood-1", "flood-0", "large"])
def test_no_message_of_the_neighbour_is_lost(
    measured: dict[str, dict[str, Any]], flood: str
) -> None:
    found = measured[flood]
    assert found["neighbour"] >= found["sent"]["neighbour"] > 0


@pytest.mark.parametrize("flood", ["flood-1", "flood-0"])
def test_a_device_gets_a_limited_number_of_messages_through(
    measured: dict[str, dict[str, Any]], flood: str
) -> None:
    found = measured[flood]
    assert 0 < found["invoked"] - found["neighbour"] < 400 * (SECONDS + 2)
