"""A test run ends with the names of the missing programs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.processes import ROOT


def test_a_missing_program_skips_its_tests_and_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "is_installed", lambda program: program != "npm")
    assert programs.missing("curl") == ""
    assert not programs.needs("curl").args[0]
    reason = programs.missing("curl", "npm")
    assert programs.needs("curl", "npm").args[0]
    with pytest.raises(pytest.skip.Exception, match="npm"):
        programs.skip_without("npm")
    assert programs.summary([reason, f"Skipped: {reason}", "another reason"]) == [
        f"npm is not installed; not tested: {programs.TESTED['npm']} (skipped: 2)"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="one process"),
        pytest.param(["-n", "1"], id="a worker"),
    ],
)
def test_the_last_lines_of_a_run_name_the_missing_program(options: list[str]) -> None:
    plugins = ["-p", "xdist", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, *options]
    environment = {"PATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    test = "tests/unit/docs/test_asyncapi.py::test_the_document_is_valid_asyncapi"
    done = subprocess.run(
        [*command, test], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == (
        f"npm is not installed; not tested: {programs.TESTED['npm']} (skipped: 1)"
    )
