"""One instance of a function: `python -I -S instance.py ENTRY_POINT PATH...`, by lines of JSON.

It imports nothing of this project: the paths are all that the function gets.
Says first what it has loaded, then answers each line with a result or an error.
"""

import importlib
import json
import os
import sys
import time
import traceback
from types import SimpleNamespace
from typing import Any


def main(entry_point: str, paths: list[str]) -> None:
    """Load the handler, then serve until the input ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what the function prints goes to the log
        sys.path[:0] = paths
        try:
            module, _, name = entry_point.rpartition(".")
            handler = getattr(importlib.import_module(module), name)
            _say(answers, _loaded())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
            _say(answers, _failure(error))
            return
        for line in sys.stdin:
            call = json.loads(line)
            try:
                result = handler(call["event"], _Context(**call["context"]))
                answer = {"result": json.dumps(result, allow_nan=False)}
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer
                answer = _failure(error)
            _say(answers, answer)


class _Context(SimpleNamespace):
    deadline_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)


def _loaded() -> dict[str, Any]:
    """Which modules of `shared` the function uses, and which settings these know."""
    settings = importlib.import_module("shared.config").Settings
    return {
        "modules": sorted(name for name in sys.modules if name.startswith("shared.")),
        "settings": [name.upper() for name in settings.model_fields],
    }


def _failure(error: BaseException) -> dict[str, Any]:
    print(traceback.format_exc(), flush=True)
    return {"error": [type(error).__name__, str(error)]}


def _say(answers: Any, answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
