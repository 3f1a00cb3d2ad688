"""Each package alone: what is in it, and that its handler can be imported with nothing beside it.

SLOW AND NEEDS THE NETWORK: the tests named "…installs…" run pip, once for each different set of
requirements.
"""

import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import pytest

from terraform import package

_FUNCTIONS = sorted(path.parent.name for path in package.ROOT.glob("functions/*/main.py"))


def _by_requirements() -> list[tuple[str, ...]]:
    """The packages, those with the same requirements together."""
    same = defaultdict(list)
    for name in _FUNCTIONS:
        same[(package.ROOT / "functions" / name / "requirements.txt").read_text()].append(name)
    same[(package.ROOT / "bridge" / "requirements.txt").read_text()].append("bridge")
    return [tuple(names) for names in same.values()]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every package, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    package.build(folder)
    return folder


def test_there_is_a_package_for_each_function_and_one_for_the_bridge(packages: Path) -> None:
    assert sorted(path.stem for path in packages.glob("*.zip")) == sorted([*_FUNCTIONS, "bridge"])


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_a_function_has_its_handler_at_the_root_and_nothing_of_local_or_tests(
    packages: Path, name: str
) -> None:
    names = zipfile.ZipFile(packages / f"{name}.zip").namelist()

    assert {"main.py", "requirements.txt", "shared/config.py"} <= set(names)
    tops = {path.split("/")[0] for path in names}
    assert tops - {"migrations"} == {"main.py", "requirements.txt", "shared"}
    assert ("migrations" in tops) == (name == "migrate")


def test_migrate_carries_every_migration(packages: Path) -> None:
    names = zipfile.ZipFile(packages / "migrate.zip").namelist()
    migrations = (package.ROOT / "functions" / "migrate" / "migrations").glob("*.sql")

    assert {path for path in names if path.endswith(".sql")} == {
        f"migrations/{path.name}" for path in migrations
    }


def test_building_again_changes_no_byte(packages: Path, tmp_path: Path) -> None:
    again = package.build(tmp_path)

    assert [path.read_bytes() for path in again] == [
        (packages / path.name).read_bytes() for path in again
    ]


def test_building_again_with_bytecode_changes_no_byte(tmp_path: Path) -> None:
    once = package.build(tmp_path / "once", compiler=sys.executable)
    again = package.build(tmp_path / "again", compiler=sys.executable)

    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_bytecode_is_used_though_unpacking_changed_the_time_of_its_source(tmp_path: Path) -> None:
    code = _unpacked_with_bytecode(tmp_path)

    seen = _run("-v", "-c", f"{_FROM_HERE}; import shared.values", cwd=code).stderr

    assert re.search(r"shared/__pycache__/values\.\S+\.pyc matches ", seen)


def test_a_source_that_was_edited_later_counts_more_than_its_bytecode(tmp_path: Path) -> None:
    code = _unpacked_with_bytecode(tmp_path)
    (code / "shared" / "values.py").write_text("EDITED = True\n")

    done = _run("-c", f"{_FROM_HERE}; from shared.values import EDITED", cwd=code)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("names", _by_requirements(), ids="+".join)
def test_a_package_installs_its_requirements_and_imports_with_nothing_else(
    packages: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    codes = {name: tmp_path / name for name in names}
    for name, code in codes.items():
        zipfile.ZipFile(packages / f"{name}.zip").extractall(code)
    site = tmp_path / "site"
    _install(codes[names[0]] / "requirements.txt", site)

    faults = {name: _import_alone(code, site) for name, code in codes.items()}

    assert faults == dict.fromkeys(names, "")


_FROM_HERE = "import sys; sys.path[:0] = ['.']"


def _unpacked_with_bytecode(folder: Path) -> Path:
    package.build(folder, compiler=sys.executable)
    zipfile.ZipFile(folder / "swap.zip").extractall(folder / "code")
    return folder / "code"


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python with its standard library and nothing else."""
    command = [sys.executable, "-I", "-S", "-W", "error", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def _install(requirements: Path, site: Path) -> None:
    """Exactly what is listed: a package that only another one asks for must be pinned too."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--target", str(site), "-r", str(requirements)]
    subprocess.run(command, check=True, timeout=240)


def _import_alone(code: Path, site: Path) -> str:
    """What importing the package says against it."""
    entry, name = ("bridge.__main__", "main") if (code / "bridge").exists() else ("main", "handler")
    paths = [str(code), str(site)]
    script = f"import sys; sys.path[:0] = {paths!r}; from {entry} import {name}"
    return _run("-c", script, cwd=code.parent).stderr
