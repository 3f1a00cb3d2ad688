"""A simulated cabinet that tests command, and its clock."""

import pytest

from local.cabinet.hardware import Hardware
from tests.unit.cabinet.small_cabinet import Clock, make_hardware


@pytest.fixture
def clock() -> Clock:
    """Moves when it is told to."""
    return Clock()


@pytest.fixture
def hardware(clock: Clock) -> Hardware:
    """A charged accumulator, a flat one, none."""
    return make_hardware(clock)
