"""Requests made up from the OpenAPI document by schemathesis, against a running local cloud.

CAMPAIGN_SECONDS in the environment makes it longer, CAMPAIGN_SEED another.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack import API_KEYS
from tests.e2e.command_line import SHORT
from tests.e2e.running import Running, running
from tests.openapi_check import DOCUMENT
from tests.processes import ROOT

SECONDS = int(os.environ.get("CAMPAIGN_SECONDS", "40"))  # noqa: TID251 - a setting of the tests
NOT_CHECKED = {
    "not_a_server_error": "`documented` knows which of them are documented",
    "unsupported_method": "a gateway of this cloud answers 404, not 405",
    "use_after_free": "a retired accumulator and its ledger can still be read",
    "positive_data_acceptance": "the document cannot say how fields of a request depend on others",
}


@pytest.mark.timeout(SECONDS + 180)
def test_whatever_the_document_allows_or_forbids_gets_a_documented_answer(tmp_path: Path) -> None:
    settings = {**SHORT, "UNLOCK_WAIT_SECONDS": "0.5"}
    with running("--cabinets", "4", "--poll-seconds", "3600", settings=settings) as stack:
        campaign = run(stack, tmp_path)
        assert [line for line in stack.log if line["level"] == "ERROR"] == []
        assert campaign.returncode == 0, campaign.stdout + campaign.stderr
        assert stack.operator.get("/v1/stats")["audit"] == {"ok": True, "violations": []}


def run(stack: Running, directory: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT)]
    options = {
        "--url": stack.url,
        "--header": f"Authorization: Bearer {API_KEYS['operator']}",
        "--checks": "all",
        "--exclude-checks": ",".join(NOT_CHECKED),
        "--max-examples": "20",
        "--max-time": str(SECONDS),
        "--seed": os.environ.get("CAMPAIGN_SEED", "1"),  # noqa: TID251 - a setting of the tests
        "--warnings": "off",
    }
    return subprocess.run(
        [*command, *(word for option in options.items() for word in option)],
        cwd=directory,  # it keeps notes where it runs
        env={**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.campaign.checks"},  # noqa: TID251 - a child inherits it
        capture_output=True,
        text=True,
        check=False,
    )
