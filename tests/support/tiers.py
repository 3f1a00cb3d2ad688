"""The slow tests, which `make test` leaves out. The run ends with what was left out."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

_LEFT_OUT = pytest.StashKey[Counter[str]]()
_OF_WORKER = "left_out"


def note(items: Sequence[pytest.Item]) -> None:
    """Remember which of the tests that will not run are slow, by folder."""
    slow = Counter(_folder(item.nodeid) for item in items if item.get_closest_marker("slow"))
    if not slow:
        return
    config = items[0].config
    config.stash[_LEFT_OUT] = slow
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OF_WORKER] = dict(slow)


def note_of_worker(node: Any) -> None:
    """Take over what a worker of pytest-xdist remembers; each has collected the same tests."""
    if slow := getattr(node, "workeroutput", {}).get(_OF_WORKER):
        node.config.stash[_LEFT_OUT] = Counter(slow)


def summary(config: pytest.Config) -> list[str]:
    """Return a line about the slow tests that did not run; none if all did."""
    left_out = config.stash.get(_LEFT_OUT, Counter())
    if not left_out:
        return []
    folders = ", ".join(f"{folder} {count}" for folder, count in sorted(left_out.items()))
    return [f"slow tests left out: {left_out.total()} ({folders}); run them: make test-all"]


def _folder(nodeid: str) -> str:
    """Return the folder of a test, without `tests/`."""
    return nodeid.partition("::")[0].rpartition("/")[0].removeprefix("tests/")
