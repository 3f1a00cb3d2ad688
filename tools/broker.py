"""`python -m tools broker`: test a broker of your own before the service uses it.

The checks are the project's tests for brokers, in tests/integration/broker.
"""

import argparse
import os
import re
import socket
import ssl
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, FilePath, ValidationError

from tools import ToolError, printable

EXIT_FAILED = 1
_TESTS = Path(__file__).parents[1] / "tests" / "integration" / "broker"
_CONFORMANCE = str(_TESTS / "test_broker_conformance.py")
_EXPIRY = [
    f"{_TESTS / 'test_command_expiry.py'}::{name}"
    for name in (
        "test_a_persistent_client_that_returns_after_the_ttl_receives_no_old_command",
        "test_a_command_that_was_not_acknowledged_is_not_redelivered_after_the_ttl",
    )
]
_NO_EXPIRY = (
    "not checked: the expiry of commands, which MQTT 3.1.1 does not have. Give the cabinets' queues"
    " a message TTL of COMMAND_TTL_SECONDS, and the bridge's none"
)
_OPTIONS = ["-p", "no:terminal", "-p", "no:randomly", "-p", "no:cacheprovider"]
_LOCAL_ONLY = "not adding_a_device and not invalid_device_id and not in_one_packet"
_CONNECT_SECONDS = 10
Port = Annotated[int, Field(ge=1, le=65535)]
Login = tuple[str, str]


class Given(BaseModel):
    """A broker and logins at it, as the user describes them in a TOML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1)
    """Host that the functions and the bridge connect to."""
    port: Port = 8883
    devices_host: str = ""
    """Host that cabinets connect to; empty: the same."""
    devices_port: Port = 8883
    tls: bool = True
    ca_file: FilePath | None = None
    """CA in PEM; None: the system's CAs."""
    mqtt_version: Literal["5", "3.1.1"] = "5"
    service: Login
    """Login and password that the functions publish with."""
    bridge: Login
    devices: dict[str, str] = Field(min_length=2)
    """Passwords by device id: of devices that exist only for the test."""

    def addresses(self) -> set[tuple[str, int]]:
        """Return each host and port."""
        return {(self.host, self.port), (self.devices_host or self.host, self.devices_port)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    text = "TOML file with the broker's address and logins: docs/broker-cluster.md"
    parser.add_argument("file", type=Path, metavar="FILE", help=text)
    text = "Check only the requirements with these words, such as 'client id'"
    parser.add_argument("--only", metavar="WORDS", type=_name, default="", help=text)


def run(args: argparse.Namespace) -> int:
    """Test the broker, print a line for each requirement, and return the exit code."""
    given = read(args.file)
    for address in given.addresses():
        _connect(given, *address)
    has_expiry = given.mqtt_version == "5"
    lines = _Lines()
    checks = [_CONFORMANCE, *(_EXPIRY if has_expiry else [])]
    which = f"{_LOCAL_ONLY} and {args.only}" if args.only else _LOCAL_ONLY
    os.environ.pop("PYTEST_ADDOPTS", None)  # noqa: TID251 - of the user's own tests
    pytest.main([*_OPTIONS, "-k", which, "--broker", str(args.file), *checks], plugins=[lines])
    if not has_expiry:
        print(_NO_EXPIRY)
    print(f"{lines.passed} passed, {lines.failed} failed, {lines.skipped} not checked")
    return EXIT_FAILED if lines.failed or not lines.passed else 0


def read(file: Path) -> Given:
    """Return what the file says; ca_file is relative to the file. Raises ToolError."""
    try:
        found: dict[str, Any] = tomllib.loads(file.read_text())
        if found.get("ca_file"):
            found["ca_file"] = file.parent / found["ca_file"]
        return Given.model_validate(found)
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise ToolError(f"{file}: {where}: {wrong['msg']}") from None
    except (OSError, ValueError, TypeError) as error:
        raise ToolError(f"{file}: {error}") from None


def _connect(given: Given, host: str, port: int) -> None:
    """Raise ToolError if nothing listens there, or it is not the broker that the CA knows."""
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_SECONDS) as connection:
            if given.tls:
                cafile = str(given.ca_file) if given.ca_file else None
                context = ssl.create_default_context(cafile=cafile)
                context.wrap_socket(connection, server_hostname=host).close()
    except OSError as error:
        raise ToolError(f"cannot connect to {host}:{port}: {error}") from None


def _name(words: str) -> str:
    """Return the part of a test's name that states these words."""
    if not re.fullmatch(r"[A-Za-z0-9 ]*", words):
        raise argparse.ArgumentTypeError(f"{words!r}: use words of a printed requirement")
    return "_".join(words.split())


class _Lines:
    """A plugin of pytest that prints a line for each test."""

    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self._count(report)
            print(f"{report.outcome:8}{_sentence(report.nodeid)}", flush=True)
            if report.failed or report.skipped:
                print(f"        {printable(_reason(report))}", flush=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            raise ToolError(f"the tests cannot be read: {report.longreprtext}")

    def _count(self, report: pytest.TestReport) -> None:
        self.passed += report.passed
        self.failed += report.failed
        self.skipped += report.skipped


def _sentence(nodeid: str) -> str:
    """Return the requirement that a test's name states."""
    name = nodeid.rpartition("::")[2].removeprefix("test_")
    name, _, variant = name.partition("[")
    variant = re.sub(r"-?given-?", "", variant.rstrip("]"))
    return name.replace("_", " ") + (f" ({variant})" if variant else "")


def _reason(report: pytest.TestReport) -> str:
    """Return why a test failed or was skipped, in one line."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else report.longreprtext
    if message.startswith("_queue.Empty"):
        return "nothing arrived in time"
    return message.partition("\n")[0]
