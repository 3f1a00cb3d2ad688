"""The process of a function's instance: `python -I -S function_instance.py ENTRY_POINT PATH...`.

It imports only from the given paths, and communicates in lines of JSON: first it writes what it
has loaded, then for each call that it reads a result or an error.
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
    """Load the handler, and serve calls until the input ends."""
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)  # the function's standard output goes to the log
        sys.path[:0] = paths
        try:
            module, _, name = entry_point.rpartition(".")
            handler = getattr(importlib.import_module(module), name)
            _write(output, _loaded())
        except BaseException as error:  # noqa: BLE001 - the caller reports any error
            _write(output, _failure(error))
            return
        for line in sys.stdin:
            call = json.loads(line)
            try:
                value = handler(call["event"], _Context(**call["context"]))
                result = {"result": json.dumps(value, allow_nan=False)}
            except BaseException as error:  # noqa: BLE001 - the caller reports any error
                result = _failure(error)
            _write(output, result)


class _Context(SimpleNamespace):
    deadline_ms: int

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.deadline_ms - time.time_ns() // 1_000_000)


def _loaded() -> dict[str, Any]:
    """Return the modules of `shared` that are loaded, and the settings that they can read."""
    settings = importlib.import_module("shared.config").Settings
    return {
        "modules": sorted(name for name in sys.modules if name.startswith("shared.")),
        "settings": [name.upper() for name in settings.model_fields],
    }


def _failure(error: BaseException) -> dict[str, Any]:
    print(traceback.format_exc(), flush=True)
    return {"error": [type(error).__name__, str(error)]}


def _write(output: Any, line: dict[str, Any]) -> None:
    print(json.dumps(line), file=output, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
