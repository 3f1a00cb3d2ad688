"""A test run without the slow tests ends with what it has left out."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

_TESTS = """
import pytest

def test_quick(): pass

@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_slow(number): pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with this one's plugin, a quick test and two slow ones."""
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "tests" / "unit" / "test_a.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    return tmp_path


def last_line(project: Path, *options: str) -> str:
    plugins = ["-p", "xdist", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *options, "tests"],
        cwd=project,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["one process", "a worker"])
def test_the_last_line_says_what_was_left_out_and_how_to_run_it(
    project: Path, workers: list[str]
) -> None:
    line = last_line(project, "-m", "not slow", *workers)
    assert line == "slow tests left out: 2 (unit 2); run them: make test-all"


def test_nothing_is_said_if_all_tests_have_run_or_only_quick_ones_were_left_out(
    project: Path,
) -> None:
    assert last_line(project).startswith("3 passed")
    assert last_line(project, "-k", "slow").startswith("2 passed")
