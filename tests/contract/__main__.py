"""`python -m tests.contract NAME` checks what has a contract with others.

lint: the API's documents; clients: a shift with each generated client; console: the console's
source files, which format-console formats.
"""

import sys

from tests.contract import clients, console, linters, tools

_CHECKS = {
    "lint": linters.lint,
    "clients": clients.play,
    "console": console.lint,
    "format-console": console.fix,
}


def _main(name: str) -> int:
    if missing := tools.missing():
        print(f"skipped: {' and '.join(missing)} not installed")
        return 0
    try:
        _CHECKS[name]()
    except tools.NotInstalled as missing_package:
        print(f"skipped: {missing_package}")
    except tools.Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
