"""Requests that schemathesis generates from the OpenAPI document, against a running local cloud.

Without CAMPAIGN_SECONDS in the environment, the number of requests is fixed, so that a slow machine
sends the same ones, and the coverage phase, which is most of the work, is left to CI. CAMPAIGN_SEED
sets the seed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import API_KEYS
from tests.campaign import findings
from tests.support.command_line import SHORT_WAITS
from tests.support.local_cloud import LocalCloud, running
from tests.support.openapi_check import DOCUMENT
from tests.support.processes import ROOT

SECONDS = int(os.environ.get("CAMPAIGN_SECONDS", "0"))  # noqa: TID251 - a setting of the tests
ONCE = {"--max-examples": "2", "--phases": "examples,fuzzing,stateful"}


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_every_generated_request_gets_a_documented_response(tmp_path: Path) -> None:
    # Cabinet C-002 and accumulator A-0003 do not exist, so the documented examples can make them.
    options = ("--cabinets", "1", "--cells", "3", "--poll-seconds", "3600", "--no-rate-limits")
    settings = {**SHORT_WAITS, "UNLOCK_WAIT_SECONDS": "0.5"}
    with running(*options, settings=settings) as stack:
        campaign = run(stack, tmp_path)
        assert [line for line in stack.log if line["level"] == "ERROR"] == []
        assert campaign.returncode == 0, campaign.stdout + campaign.stderr
        assert stack.operator.get("/v1/stats")["audit"] == {"ok": True, "violations": []}


def run(stack: LocalCloud, directory: Path) -> "subprocess.CompletedProcess[str]":
    config = directory / "schemathesis.toml"
    config.write_text(findings.config())
    schemathesis = [sys.executable, "-m", "schemathesis.cli"]
    command = [*schemathesis, "--config-file", str(config), "run", str(DOCUMENT)]
    options = {
        "--url": stack.url,
        "--header": f"Authorization: Bearer {API_KEYS['operator']}",
        "--checks": "all",
        **({"--max-examples": "20", "--max-time": str(SECONDS)} if SECONDS else ONCE),
        "--seed": os.environ.get("CAMPAIGN_SEED", "1"),  # noqa: TID251 - a setting of the tests
        "--warnings": "off",
    }
    return subprocess.run(
        [*command, *(word for option in options.items() for word in option)],
        cwd=directory,  # it writes files there
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.campaign.checks"},  # noqa: TID251 - a child inherits it
        capture_output=True,
        text=True,
        check=False,
    )
