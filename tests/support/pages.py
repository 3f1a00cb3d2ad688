"""The commands that the pages of documentation show, and which test runs them."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from tests.support.processes import ROOT

OWN_CABINET = "tests/e2e/test_own_cabinet.py"
LOGINS = "tests/e2e/test_logins.py"
NEW_COMMAND = "tests/e2e/test_new_command.py"
FOLLOWING = "tests/e2e/test_following_events.py"
FLEET_TOOLS = "tests/e2e/test_fleet_tools.py"
SIMULATION = "tests/simulation/test_simulation.py"
WALKTHROUGHS = "tests/e2e/test_walkthroughs.py"
FLEET_IN_AN_HOUR = "tests/e2e/test_fleet_in_an_hour.py"

FOLLOWED = {
    ("README.md", "Run it"): WALKTHROUGHS,
    ("docs/a-fleet-in-an-hour.md", "You make a cabinet"): FLEET_IN_AN_HOUR,
    ("docs/a-fleet-in-an-hour.md", "You operate cabinets"): FLEET_IN_AN_HOUR,
    ("docs/adding-a-command.md", "Adding a command"): NEW_COMMAND,
    ("docs/api.md", "A shift with curl"): WALKTHROUGHS,
    ("docs/cabinet-credentials.md", "Logins for a fleet"): LOGINS,
    ("docs/deploying.md", "The first unlock"): WALKTHROUGHS,
    ("docs/following-events.md", "A program that survives restarts"): FOLLOWING,
    ("docs/following-events.md", "From the first curl"): FOLLOWING,
    ("docs/following-events.md", "On the screen"): FOLLOWING,
    ("docs/local-cloud.md", "Outages"): WALKTHROUGHS,
    ("docs/local-cloud.md", "Simulated cabinets"): WALKTHROUGHS,
    ("docs/monitoring.md", "Checks from outside"): WALKTHROUGHS,
    ("docs/operating.md", "Prepare the terminal"): WALKTHROUGHS,
    ("docs/reliability.md", "Simulation"): SIMULATION,
    ("docs/tools.md", "Events"): FOLLOWING,
    ("docs/tools.md", "Export"): FLEET_TOOLS,
    ("docs/tools.md", "Import"): FLEET_TOOLS,
    ("docs/tools.md", "Name the service"): FLEET_TOOLS,
    ("docs/your-own-cabinet.md", "A cabinet by hand"): OWN_CABINET,
    ("docs/your-own-cabinet.md", "A cabinet in a script"): OWN_CABINET,
    ("docs/your-own-cabinet.md", "Start a cloud without cabinets"): OWN_CABINET,
}
"""Page and section, and the test that runs its shell blocks in order."""

_STARTS = "starts a local cloud that does not end, as the tests do with `python -m local up`"
_CLOUD = "needs a deployment in Yandex Cloud"
_RECEIVER = "needs a public receiver; test_documented_receiver.py sends the same requests"

NOT_RUN = {
    ("CONTRIBUTING.md", "make setup"): "installs packages",
    ("CONTRIBUTING.md", "sudo apt-get install"): "installs packages",
    ("CONTRIBUTING.md", "make release"): "run in a repository of its own by test_release.py",
    ("README.md", "make demo"): "run as `python -m local demo` by test_shift.py",
    ("README.md", "make run"): _STARTS,
    ("README.md", "make test-all"): "runs these tests",
    ("README.md", "make test"): "runs these tests",
    (
        "docs/a-fleet-in-an-hour.md",
        "make conformance",
    ): "run with one step by test_fleet_in_an_hour.py",
    ("docs/a-fleet-in-an-hour.md", "make run"): _STARTS,
    ("docs/adding-a-migration.md", ".venv/bin/python -m pytest"): "runs these tests",
    ("docs/conformance.md", "make conformance"): "waits for a cabinet; run by e2e/conformance",
    ("docs/deploying.md", "cp terraform/terraform.tfvars.example"): _CLOUD,
    ("docs/deploying.md", ".venv/bin/python -m local cloud"): "run by test_cloud_command.py",
    (
        "docs/deploying.md",
        "make package secrets",
    ): "needs Terraform's provider; `make rehearse` does",
    ("docs/deploying.md", "terraform -chdir=terraform show"): "run by test_rehearsal.py",
    ("docs/local-cloud.md", "make run"): _STARTS,
    ("docs/monitoring.md", "logs 'level >= WARN'"): _CLOUD,
    ("docs/operating.md", "cp terraform/terraform.tfstate"): _CLOUD,
    ("docs/operating.md", "openssl s_client"): _CLOUD,
    ("docs/operating.md", "yc managed-postgresql backup"): _CLOUD,
    ("docs/webhooks.md", 'curl -sS "$url/v1/webhooks"'): _RECEIVER,
    ("docs/webhooks.md", "curl -sS -X POST"): _RECEIVER,
    ("docs/your-own-cabinet.md", "UNLOCK_WAIT_SECONDS=50"): _STARTS,
}
"""Page and first words of a shell block that no test runs, and the reason."""

_HEADING = re.compile(r"^#{1,2} (.+)$")
_FENCE = re.compile(r"^( *)```(\w*)$")
_INLINE = re.compile(r"`([^`\n]+)`")
_TRANSLATION = re.compile(r"<!-- source: (\S+) ")


class Block(NamedTuple):
    """A code block of a page."""

    page: str
    section: str
    language: str
    text: str

    @property
    def is_shell(self) -> bool:
        return self.language in {"bash", "sh", "shell", "console"} or self.text.startswith("$ ")

    @property
    def is_run(self) -> bool:
        return not any(page == self.page and self.text.startswith(words) for page, words in NOT_RUN)


class Span(NamedTuple):
    """A piece of code within the text of a page."""

    section: str
    text: str


@cache
def pages() -> list[str]:
    """Return the names of all Markdown files."""
    command = ["git", "ls-files", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def source_of(page: str) -> str | None:
    """Return the page of which this one is a translation."""
    match = _TRANSLATION.match(read(page))
    return match[1] if match else None


def blocks(page: str) -> list[Block]:
    return [one for one in _parse(page) if isinstance(one, Block)]


def spans(page: str) -> list[Span]:
    return [one for one in _parse(page) if isinstance(one, Span)]


def shell_blocks(page: str, section: str) -> list[str]:
    """Return the shell blocks of a section that a test runs, in order."""
    assert (page, section) in FOLLOWED, f"add {page}, {section!r} to FOLLOWED"
    return [
        block.text
        for block in blocks(page)
        if block.section == section and block.is_shell and block.is_run
    ]


def _parse(page: str) -> Iterator[Block | Span]:
    section, indent, language = "", "", ""
    block: list[str] | None = None
    for line in read(page).splitlines():
        fence = _FENCE.match(line)
        if block is not None and fence:
            yield Block(page, section, language, "\n".join(block))
            block = None
        elif block is not None:
            block.append(line.removeprefix(indent))
        elif fence:
            block, indent, language = [], fence[1], fence[2]
        elif heading := _HEADING.match(line):
            section = heading[1]
        else:
            yield from (Span(section, code) for code in _INLINE.findall(line))
