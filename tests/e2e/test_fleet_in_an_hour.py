"""Follow docs/a-fleet-in-an-hour.md: the operator's path and the maker's, to the first unlock."""

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.children import free_port
from tests.support import pages
from tests.support.database import fast_directory
from tests.support.local_cloud import LocalCloud, check_invariants, running
from tests.support.programs import needs
from tests.support.shell import Shell, responses, shell_in
from tests.support.waiting import wait_until
from tools.logins import cards

PAGE = "docs/a-fleet-in-an-hour.md"
OPERATOR = pages.shell_blocks(PAGE, "You operate cabinets")
MAKER = pages.shell_blocks(PAGE, "You make a cabinet")
SHOWN = [one.text for one in pages.blocks(PAGE) if not one.is_shell]
START_KIT, START_CLOUD = (
    next(one.text for one in pages.blocks(PAGE) if one.text.startswith(start))
    for start in ("make conformance", 'make run ARGS="--cabinets 0 --mqtt-host')
)
START_OPERATORS_CABINET, START_PROTOTYPE = (
    one.text for one in pages.spans(PAGE) if one.text.endswith(" my_cabinet.py")
)
[SCRIPT] = [
    one.text for one in pages.blocks("docs/your-own-cabinet.md") if one.language == "python"
]

pytestmark = [pytest.mark.slow, needs("bash", "curl")]


@contextmanager
def shell_on(stack: LocalCloud) -> Iterator[Shell]:
    with fast_directory() as directory, shell_in(directory, stack) as shell:
        (directory / "my_cabinet.py").write_text(SCRIPT)
        yield shell


@contextmanager
def started(command: str, shell: Shell, **settings: str) -> Iterator[None]:
    """A program in another terminal, until the end."""
    with subprocess.Popen(
        ["bash", "-c", f"exec env {command}"],
        cwd=shell.directory,
        env=shell.environment | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def options_of(block: str) -> list[str]:
    """Return the options in `make … ARGS="…"`."""
    return shlex.split(shlex.split(block)[-1].removeprefix("ARGS="))


def password_on_the_card(page: Path, device_id: str) -> str:
    [password] = [
        one["password"] for one in cards.rows(page.read_text()) if one["device_id"] == device_id
    ]
    return str(password)


def test_the_operators_path_leads_to_the_first_unlock() -> None:
    define, check, imports, logins, enrol, online, unused, transfer, *bookings = OPERATOR
    fill, filled, first = bookings
    with running("--cabinets", "0", settings={}) as stack, shell_on(stack) as shell:
        assert shell.run(define).rstrip() == SHOWN[0]
        assert shell.run(check).rstrip() == SHOWN[1]
        shell.run(imports)
        shell.run(logins)
        assert responses(shell.run(enrol))[0]["enrol_until"] is not None

        password = password_on_the_card(shell.directory / "logins.html", "M-002")
        with started(START_OPERATORS_CABINET.replace("…", password), shell):
            [inside] = responses(shell.run(online))
            assert {one["accumulator_id"]: one["status"] for one in inside["accumulators"]} == {
                "MY-1": "in_service",
                "MY-2": "in_service",
            }
            listed = shell.run(unused)
            assert SHOWN[4] in listed
            [offline] = responses(listed)
            assert len(offline["cabinets"]) == SHOWN[4].count("never-connected")

            shell.run(transfer)
            [opened] = responses(shell.run(fill))
            assert opened["cells"][0]["result"] == "opened"
            [returned] = responses(shell.run(filled))
            assert returned["place"] == {"cabinet_id": "M-002", "cell_number": 3}

            unlocked, taken = responses(shell.run(first))
        check_invariants(stack)
    [shown] = responses(SHOWN[5])
    ids = {name: unlocked[name] for name in ("booking_id", "command_id")}
    assert unlocked == shown | ids
    assert taken["place"] == {"contractor_id": "T-7"}


def test_the_makers_path_leads_from_a_broken_rule_to_the_first_unlock(tmp_path: Path) -> None:
    define, register, online, unlock, look = MAKER
    with running(*options_of(START_CLOUD), settings={}) as stack, shell_on(stack) as shell:
        printed = kit_that_tests_the_script(shell, tmp_path)
        assert SHOWN[6] in printed

        shell.run(define)
        shell.run(register)
        with started(START_PROTOTYPE, shell):
            shell.run(online)
            [unlocked] = responses(shell.run(unlock))
            [carried] = responses(shell.run(look))
        check_invariants(stack)
    assert (unlocked["status"], unlocked["cells"][0]["result"]) == ("completed", "opened")
    assert [one["accumulator_id"] for one in carried["accumulators"]] == ["MY-1"]


def kit_that_tests_the_script(shell: Shell, directory: Path) -> str:
    """Run the kit of the page with one of its steps; return what it prints."""
    port, output = str(free_port()), directory / "printed.txt"
    options = ["--unattended", "--only", "expired", "--port", port, "--report", str(directory)]
    tool = [".venv/bin/python", "-m", "tools", "conformance"]
    with output.open("w") as file:
        kit = subprocess.Popen(
            [*tool, *options_of(START_KIT), *options],
            cwd=shell.directory,
            env=shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
        )
    with kit:
        wait_until(lambda: "Configure the cabinet" in output.read_text(), seconds=60)
        with started(START_PROTOTYPE, shell, MQTT_PORT=port):
            assert kit.wait(60) == 1
    return output.read_text()
