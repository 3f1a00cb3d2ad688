"""The lists of pinned packages: complete, with hashes, and the same versions everywhere."""

import re
from pathlib import Path

import pytest

from terraform.requirements import pinned
from tests.support.processes import ROOT

LISTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("requirements*.txt", "functions/*/requirements.txt", "*/requirements.txt")
    for path in ROOT.glob(pattern)
    if not path.parent.name.startswith(".")
)
_HASHES = r"( \\\n    --hash=sha256:[0-9a-f]{64})+"
_PIN = re.compile(rf"[A-Za-z0-9_.\[\]-]+==[A-Za-z0-9.]+( ; [^\n\\]+)?{_HASHES}\n")


def test_every_function_and_the_bridge_have_a_list() -> None:
    deployed = {path.parent.relative_to(ROOT) for path in ROOT.glob("functions/*/main.py")}
    assert {folder.as_posix() for folder in deployed} | {"bridge"} <= {
        Path(path).parent.as_posix() for path in LISTS
    }


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_only_pinned_packages_with_hashes_and_names_no_host(path: str) -> None:
    text = (ROOT / path).read_text()
    assert _PIN.sub("", text) == ""
    assert "://" not in text


@pytest.mark.parametrize("path", LISTS)
def test_a_list_has_what_its_source_names(path: str) -> None:
    source = (ROOT / path).with_suffix(".in")
    direct = [line for line in source.read_text().splitlines() if "==" in line]
    wanted = {re.sub(r"[-_.]+", "-", line).lower().partition("==")[0] for line in direct}
    assert wanted <= set(pinned(ROOT / path))


@pytest.mark.parametrize(
    "path", [path for path in LISTS if "contract" not in path and "console" not in path]
)
def test_a_deployed_version_is_the_version_that_is_tested(path: str) -> None:
    assert pinned(ROOT / path).items() <= pinned(ROOT / "requirements-dev.txt").items()


def test_a_package_for_another_system_is_left_out(tmp_path: Path) -> None:
    listed = tmp_path / "requirements.txt"
    listed.write_text("a_b==1 \\\n    --hash=sha256:00\nc[d]==2 ; sys_platform == 'win32' \\\n")
    assert pinned(listed, {"sys_platform": "linux"}) == {"a-b": "1"}
    assert pinned(listed, {"sys_platform": "win32"}) == {"a-b": "1", "c": "2"}
