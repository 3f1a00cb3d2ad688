"""The longest test files run first."""

import pytest

from tests.support.processes import ROOT
from tests.support.schedule import IN_TWO_WORKERS, LONGEST, group, rank


@pytest.mark.parametrize("file", LONGEST)
def test_a_listed_file_exists_and_comes_before_all_others(file: str) -> None:
    assert (ROOT / "tests" / file).exists()
    assert rank(f"tests/{file}::test_x[a]") < rank("tests/unit/support/test_schedule.py::test_x")


@pytest.mark.parametrize("folder", IN_TWO_WORKERS)
def test_the_files_of_a_folder_that_share_servers_are_divided_between_two_workers(
    folder: str,
) -> None:
    files = [f"{folder}/{path.name}" for path in (ROOT / folder).glob("test_*.py")]
    groups = [group(f"{file}::test_x") for file in files]
    assert len({*groups}) == 2
    assert min(groups.count(one) for one in groups) > len(files) // 3
