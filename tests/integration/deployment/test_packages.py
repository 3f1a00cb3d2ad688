"""The deployed packages: their contents, and that each can be imported alone."""

import base64
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from terraform import package, sbom
from terraform.requirements import pinned

pytestmark = pytest.mark.slow

_FUNCTIONS = sorted(path.parent.name for path in package.ROOT.glob("functions/*/main.py"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every package, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    package.build(folder)
    return folder


@pytest.fixture(scope="module")
def compiled_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every package, built from this checkout with bytecode."""
    folder = tmp_path_factory.mktemp("compiled")
    package.build(folder, compiler=sys.executable)
    return folder


def test_there_is_a_package_for_each_function_and_one_for_the_bridge(packages: Path) -> None:
    assert sorted(path.stem for path in packages.glob("*.zip")) == sorted([*_FUNCTIONS, "bridge"])


@pytest.mark.parametrize("name", _FUNCTIONS)
def test_a_function_package_has_its_handler_at_the_root_and_nothing_of_local_or_tests(
    packages: Path, name: str
) -> None:
    names = zipfile.ZipFile(packages / f"{name}.zip").namelist()

    assert {"main.py", "requirements.txt", "shared/config.py", sbom.NAME} <= set(names)
    tops = {path.split("/")[0] for path in names}
    assert tops - {"migrations"} == {"main.py", "requirements.txt", "shared", sbom.NAME}
    assert ("migrations" in tops) == (name == "migrate")


def test_the_migrate_package_contains_every_migration(packages: Path) -> None:
    names = zipfile.ZipFile(packages / "migrate.zip").namelist()
    migrations = (package.ROOT / "functions" / "migrate" / "migrations").glob("*.sql")

    assert {path for path in names if path.endswith(".sql")} == {
        f"migrations/{path.name}" for path in migrations
    }


@pytest.mark.parametrize("name", [*_FUNCTIONS, "bridge"])
def test_a_package_has_a_bill_of_all_that_is_installed_for_it(
    packages: Path, tmp_path: Path, name: str
) -> None:
    code = _unpack(packages / f"{name}.zip", tmp_path)
    bill = json.loads((code / sbom.NAME).read_text())

    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == name
    assert {one["purl"] for one in bill["components"]} == {
        f"pkg:pypi/{pin}".replace("==", "@") for pin in _pins(code / "requirements.txt")
    }


def test_the_bridge_package_fits_into_a_value_of_the_metadata_of_its_vm(packages: Path) -> None:
    assert len(base64.b64encode((packages / "bridge.zip").read_bytes())) < 256 * 1024


def test_builds_are_reproducible(packages: Path, tmp_path: Path) -> None:
    again = package.build(tmp_path)

    assert [path.read_bytes() for path in again] == [
        (packages / path.name).read_bytes() for path in again
    ]


def test_builds_with_bytecode_are_reproducible(compiled_packages: Path, tmp_path: Path) -> None:
    again = package.build(tmp_path, compiler=sys.executable)

    assert [path.read_bytes() for path in again] == [
        (compiled_packages / path.name).read_bytes() for path in again
    ]


def test_bytecode_is_used_after_unpacking_changes_source_times(
    compiled_packages: Path, tmp_path: Path
) -> None:
    code = _unpack(compiled_packages / "swap.zip", tmp_path)

    seen = _run("-v", "-c", f"{_FROM_HERE}; import shared.values", cwd=code).stderr

    assert re.search(r"shared/__pycache__/values\.\S+\.pyc matches ", seen)


def test_an_edited_source_takes_precedence_over_its_bytecode(
    compiled_packages: Path, tmp_path: Path
) -> None:
    code = _unpack(compiled_packages / "swap.zip", tmp_path)
    (code / "shared" / "values.py").write_text("EDITED = True\n")

    done = _run("-c", f"{_FROM_HERE}; from shared.values import EDITED", cwd=code)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(300)
def test_each_package_imports_with_only_its_pinned_requirements_installed(
    packages: Path, tmp_path: Path
) -> None:
    codes = {
        name: _unpack(packages / f"{name}.zip", tmp_path / name) for name in [*_FUNCTIONS, "bridge"]
    }
    pinned = {name: _pins(code / "requirements.txt") for name, code in codes.items()}
    installed = _install(set().union(*pinned.values()), tmp_path / "all")

    faults = {}
    for name, code in codes.items():
        site = tmp_path / "sites" / name
        for pin in pinned[name]:
            _link(installed[pin], site)
        faults[name] = _import_alone(code, site)

    assert faults == dict.fromkeys(codes, "")


_FROM_HERE = "import sys; sys.path[:0] = ['.']"


def _unpack(archive: Path, folder: Path) -> Path:
    zipfile.ZipFile(archive).extractall(folder)
    return folder


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python without site-packages."""
    command = [sys.executable, "-I", "-S", "-W", "error", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def _pins(requirements: Path) -> set[str]:
    return {f"{name}=={version}" for name, version in pinned(requirements).items()}


def _install(pins: set[str], site: Path) -> dict[str, Distribution]:
    """Return what each requirement installs; pip installs those that this Python does not have."""
    found = _by_pin(distributions())
    if missing := pins - set(found):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-compile", "--target", str(site), *sorted(missing)]
        subprocess.run(command, check=True, timeout=240)
        found |= _by_pin(distributions(path=[str(site)]))
    return {pin: found[pin] for pin in pins}


def _by_pin(installed: Iterable[Distribution]) -> dict[str, Distribution]:
    return {f"{canonicalize_name(one.metadata['Name'])}=={one.version}": one for one in installed}


def _link(installed: Distribution, site: Path) -> None:
    """Make the files of one installed requirement available in `site`."""
    for file in installed.files or ():
        if ".." not in file.parts:  # a command, which is outside site-packages
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).symlink_to(file.locate())


def _import_alone(code: Path, site: Path) -> str:
    """Import the package's entry point and return what Python printed as errors."""
    entry, name = ("bridge.__main__", "main") if (code / "bridge").exists() else ("main", "handler")
    paths = [str(code), str(site)]
    script = f"import sys; sys.path[:0] = {paths!r}; from {entry} import {name}"
    return _run("-c", script, cwd=code.parent).stderr
