"""The longest test files run first."""

import pytest

from tests.support.processes import ROOT
from tests.support.schedule import LONGEST, rank


@pytest.mark.parametrize("file", LONGEST)
def test_a_listed_file_exists_and_comes_before_all_others(file: str) -> None:
    assert (ROOT / "tests" / file).exists()
    assert rank(f"tests/{file}::test_x[a]") < rank("tests/unit/support/test_schedule.py::test_x")
