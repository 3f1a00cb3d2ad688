"""A service that tests of the tools can break, and the tools in this process."""

import argparse
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.integration.tools.fake_service import KEY, FakeService, serving

Run = Callable[..., int]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    """A fake service that the environment names."""
    with serving(FakeService()) as service:
        monkeypatch.setenv("SCOOTER_ACCUMULATOR_URL", service.url)
        monkeypatch.setenv("SCOOTER_ACCUMULATOR_KEY", KEY)
        yield service


@pytest.fixture
def run() -> Run:
    """Run a tool with arguments, without its process: `run(imports, "fleet.csv", "--yes")`."""

    def run_tool(module: ModuleType, *arguments: object) -> int:
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        return int(module.run(parser.parse_args([str(argument) for argument in arguments])))

    return run_tool
