"""Follow docs/adding-a-command.md: one new file adds a command from the API to the cabinet."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import pages
from tests.support.command_line import environment
from tests.support.database import fast_directory
from tests.support.local_cloud import Cabinet, running
from tests.support.processes import ROOT
from tests.support.programs import needs
from tests.support.shell import shell_in

COPIED = (
    *("functions", "shared", "bridge", "local", "console", "docs", "examples"),
    "terraform/broker",
)
PAGE = (ROOT / "docs" / "adding-a-command.md").read_text()


def find_on_page(pattern: str) -> str:
    """Return the text of docs/adding-a-command.md that a pattern captures."""
    found = re.search(pattern, PAGE, re.DOTALL)
    assert found, pattern
    return re.sub(r"^ {3}", "", found[1], flags=re.MULTILINE)


[REQUEST] = pages.shell_blocks("docs/adding-a-command.md", "Adding a command")
[RECEIVED] = [
    one.text for one in pages.blocks("docs/adding-a-command.md") if one.language == "json"
]
BODY: dict[str, Any] = json.loads(find_on_page(r"-d '(\{.*?\})'"))
KIND = BODY["kind"]


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A copy of the project with the page's new file and regenerated documents."""
    with fast_directory() as copy:
        for name in COPIED:
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "pki")
            )
        file = find_on_page(r"Here, `(shared/commands/\w+\.py)`")
        (copy / file).write_text(find_on_page(r"```python\n(.*?)```"))
        command = [sys.executable, "-m", "local", "documents"]
        subprocess.run(command, cwd=copy, env=environment({}), check=True, timeout=100)
        yield copy


@pytest.fixture(scope="module")
def cabinet(project: Path) -> Iterator[Cabinet]:
    with running("--cabinets", "1", root=project) as stack:
        yield stack.cabinet()


@needs("bash", "curl")
def test_the_request_of_the_page_reaches_the_cabinet_and_returns_its_result(
    cabinet: Cabinet,
) -> None:
    with fast_directory() as directory, shell_in(directory, cabinet.stack) as shell:
        command = json.loads(shell.run(REQUEST))
    assert (command["kind"], command["status"]) == (KIND, "succeeded")
    assert cabinet.command(command["command_id"]) == command
    assert command["payload"].items() <= BODY.items()
    assert command["payload"].items() <= json.loads(RECEIVED).items()
    assert command["payload"]


def test_a_cabinet_that_does_not_know_the_command_rejects_it(cabinet: Cabinet) -> None:
    cabinet.act("firmware", switch="knows_all_commands", value=False)
    response = cabinet.send(**BODY)
    cabinet.act("firmware", switch="knows_all_commands", value=True)
    assert (response.status, response.body["reason"]) == (502, "unknown_command")


def test_a_payload_beyond_its_limits_is_refused_naming_the_field(cabinet: Cabinet) -> None:
    [field] = BODY.keys() - {"kind", "reason"}
    response = cabinet.send(**{**BODY, field: -1})
    assert response.status == 400
    assert field in response.body["errors"][0]["field"]


def test_the_documents_list_the_new_command(project: Path) -> None:
    for name in ("openapi.json", "asyncapi.json"):
        assert KIND in (project / "docs" / name).read_text()
        assert KIND not in (ROOT / "docs" / name).read_text()
