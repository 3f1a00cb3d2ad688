"""docs/adding-a-command.md to the letter: one new file, and the command goes all the way."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.database import fast_directory
from tests.e2e.command_line import environment
from tests.e2e.running import Cabinet, running
from tests.processes import ROOT

DEPLOYED = ("functions", "shared", "bridge", "local", "docs")
PAGE = (ROOT / "docs" / "adding-a-command.md").read_text()


def on_the_page(pattern: str) -> str:
    """What the page says there."""
    found = re.search(pattern, PAGE, re.DOTALL)
    assert found, pattern
    return re.sub(r"^ {3}", "", found[1], flags=re.MULTILINE)


BODY: dict[str, Any] = json.loads(on_the_page(r"-d '(\{.*?\})'"))
KIND = BODY["kind"]


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A copy of the project, with the page's one new file and its documents written anew."""
    with fast_directory() as copy:
        for name in DEPLOYED:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        file = on_the_page(r"Here, `(shared/commands/\w+\.py)`")
        (copy / file).write_text(on_the_page(r"```python\n(.*?)```"))
        command = [sys.executable, "-m", "local", "documents"]
        subprocess.run(command, cwd=copy, env=environment({}), check=True, timeout=30)
        yield copy


@pytest.fixture(scope="module")
def cabinet(project: Path) -> Iterator[Cabinet]:
    with running("--cabinets", "1", root=project) as stack:
        yield stack.cabinet()


def test_the_command_reaches_the_cabinet_and_its_answer_comes_back(cabinet: Cabinet) -> None:
    sent = cabinet.send(**BODY)
    assert (sent.status, sent.body["status"]) == (200, "succeeded")
    assert cabinet.command(sent.body["command_id"]) == sent.body
    assert sent.body["kind"] == KIND
    assert sent.body["payload"].items() <= BODY.items()
    assert sent.body["payload"]


def test_a_cabinet_that_does_not_know_the_command_says_so(cabinet: Cabinet) -> None:
    cabinet.act("firmware", switch="knows_all_commands", value=False)
    sent = cabinet.send(**BODY)
    cabinet.act("firmware", switch="knows_all_commands", value=True)
    assert (sent.status, sent.body["reason"]) == (502, "unknown_command")


def test_a_payload_beyond_its_limits_is_refused_by_the_name_of_the_field(
    cabinet: Cabinet,
) -> None:
    [field] = BODY.keys() - {"kind", "reason"}
    refused = cabinet.send(**{**BODY, field: -1})
    assert refused.status == 400
    assert field in refused.body["errors"][0]["field"]


def test_the_documents_list_it(project: Path) -> None:
    for name in ("openapi.json", "asyncapi.json"):
        assert KIND in (project / "docs" / name).read_text()
        assert KIND not in (ROOT / "docs" / name).read_text()
