"""A simulated cabinet and its clock."""

import pytest

from local.cabinet.hardware import Hardware
from tests.unit.local.cabinet.small_cabinet import Clock, make_hardware


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@pytest.fixture
def hardware(clock: Clock) -> Hardware:
    """A cabinet of three cells: a charged accumulator, a flat one, none."""
    return make_hardware(clock)
