"""`python -m tests.contract lint` runs the linters; `clients` runs a shift with each client."""

import sys

from tests.contract import clients, linters, tools

_CHECKS = {"lint": linters.lint, "clients": clients.play}


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
