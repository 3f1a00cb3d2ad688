"""Programs that some tests run. If one is missing, its tests are skipped and the run says so."""

import re
import shutil
from collections import Counter
from collections.abc import Iterable

import pytest

from local.broker import find_mosquitto
from local.children import find_program
from local.pgbouncer import find_pgbouncer

TESTED = {
    "mosquitto": "the broker that is deployed: its configuration, access rights and restarts",
    "rsyslogd": "the files of logs on the broker's virtual machine",
    "age": "the deployer's secrets, encrypted at rest",
    "nft": "the limits of what one device can send to the broker's virtual machine",
    "mosquitto_pub": "the shell cabinet of docs/your-own-cabinet.md",
    "rabbitmq-server": "a cluster of brokers: three nodes, and the death of each",
    "pgbouncer": "PostgreSQL behind a pooler",
    "cloud-init": "the user data of the broker's virtual machine",
    "systemd-analyze": "the units of the broker's virtual machine",
    "npm": "docs/asyncapi.json against AsyncAPI's own schema, which npm installs",
    "make": "`make rehearse` and `make smoke-test`: the deployment, run on this machine",
    "chromium": "the console, in a browser",
    "bash": "the commands of the pages",
    "curl": "the commands of the pages",
    "jq": "the commands of docs/operating.md and docs/monitoring.md",
}
"""What is tested with each program."""

_REASON = re.compile(r"needs ([\w-]+), which is not installed")


def is_installed(program: str) -> bool:
    """Whether a program of TESTED is installed; servers may be outside PATH."""
    finders = {
        "chromium": find_chromium,
        "mosquitto": find_mosquitto,
        "nft": lambda: find_program("nft"),
        "rsyslogd": lambda: find_program("rsyslogd"),
        "pgbouncer": find_pgbouncer,
        "rabbitmq-server": find_rabbitmq,
    }
    find = finders.get(program)
    return (find() if find else shutil.which(program)) is not None


def find_rabbitmq() -> str | None:
    """Return the server's own script, or None: Debian's wrapper in PATH runs as one user only."""
    script = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin")
    return script if find_program("epmd") else None


def find_chromium() -> str | None:
    """Return the path of a Chromium, under any of its names."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def missing(*programs: str) -> str:
    """Return why a test that runs these programs is skipped; empty if all are installed."""
    for program in programs:
        assert program in TESTED, f"add {program} to TESTED"
        if not is_installed(program):
            return f"needs {program}, which is not installed"
    return ""


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test if one of these programs is missing."""
    reason = missing(*programs)
    return pytest.mark.skipif(bool(reason), reason=reason)


def skip_without(*programs: str) -> None:
    """Skip the tests that use a fixture if one of these programs is missing."""
    if reason := missing(*programs):
        pytest.skip(reason)


def summary(reasons: Iterable[str]) -> list[str]:
    """Return a line for each missing program, from the reasons of the tests that were skipped."""
    found = (_REASON.search(reason) for reason in reasons)
    counts = Counter(match[1] for match in found if match)
    return [
        f"{program} is not installed; not tested: {TESTED[program]} (skipped: {count})"
        for program, count in sorted(counts.items())
    ]
