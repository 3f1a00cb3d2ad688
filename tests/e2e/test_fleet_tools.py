"""`python -m tools import` and `export` against a local cloud: the page, and a whole fleet."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import pages
from tests.support.command_line import environment
from tests.support.local_cloud import LocalCloud, check_invariants, running
from tests.support.processes import ROOT
from tests.support.programs import needs
from tests.support.shell import shell_in
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

PAGE = "docs/tools.md"


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A local cloud without cabinets."""
    with running("--cabinets", "0", settings={}) as cloud:
        yield cloud
        check_invariants(cloud)


def command(cloud: LocalCloud, *arguments: object) -> dict[str, Any]:
    """Return how `subprocess` runs a tool against the cloud, as an operator."""
    settings = {"SCOOTER_ACCUMULATOR_URL": cloud.url, "SCOOTER_ACCUMULATOR_KEY": "local-operator"}
    return {
        "args": [sys.executable, "-m", "tools", *map(str, arguments)],
        "cwd": ROOT,
        "env": environment(settings),
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


def run(cloud: LocalCloud, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(**command(cloud, *arguments), timeout=100, check=False)


def result(cloud: LocalCloud, *arguments: object) -> Any:
    done = run(cloud, "import", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["counts"]


def fleet(path: Path, prefix: str, *, cabinets: int, accumulators: int) -> Path:
    """Write a file as Excel in Russia does."""
    rows = ["cabinet_id;lat;lon;address;cells_total;accumulator_id;battery_charge;contractor_id"]
    rows += [
        f"{prefix}C-{n};55,{7000 + n};37,{6000 + n};Москва, дом {n};12;;;" for n in range(cabinets)
    ]
    rows += [f";;;;;{prefix}A-{n};{n % 101};VAN-{n % 9}" for n in range(accumulators)]
    path.write_bytes("\r\n".join(rows).encode("cp1251"))
    return path


@needs("bash")
def test_the_commands_of_the_page_import_the_example_and_export_it(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    for_local, for_deployment = pages.shell_blocks(PAGE, "Name the service")
    dry_run, imports = pages.shell_blocks(PAGE, "Import")
    [exports] = pages.shell_blocks(PAGE, "Export")
    shown = next(one.text for one in pages.blocks(PAGE) if one.text.startswith("examples/"))
    with shell_in(tmp_path, cloud) as shell:
        shell.run(for_local)
        shell.run(for_deployment)
        assert shell.run(dry_run).rstrip() == shown
        assert re.search(r"cabinets +6 +0 +0 +0\naccumulators +40 ", shell.run(imports))
        shell.run(exports)
    for name, prefix, count in (("cabinets.csv", "M-", 6), ("accumulators.csv", "B-", 40)):
        _, *rows = (tmp_path / name).read_text().splitlines()  # also those of other tests
        assert sum(row.startswith(prefix) for row in rows) == count
        assert result(cloud, tmp_path / name, "--yes")["unchanged"] == len(rows)
    assert (tmp_path / "november.jsonl").read_text() == ""


def test_a_fleet_is_imported_and_the_same_file_again_changes_nothing(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    path = fleet(tmp_path / "fleet.csv", "F", cabinets=300, accumulators=4000)
    assert result(cloud, path, "--yes") == {
        "created": 4300,
        "updated": 0,
        "unchanged": 0,
        "failed": 0,
    }
    assert result(cloud, path, "--yes")["unchanged"] == 4300
    exported = run(cloud, "export", "movements", "--from", "2020-01-01").stdout
    causes = [
        row["cause"]
        for row in csv.DictReader(io.StringIO(exported))
        if row["accumulator_id"].startswith("FA-")
    ]
    assert causes == ["registered"] * 4000


def test_an_import_that_was_killed_is_finished_by_the_same_command(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    path = fleet(tmp_path / "fleet.csv", "K", cabinets=10, accumulators=9000)
    count = "SELECT count(*) AS n FROM accumulators WHERE accumulator_id LIKE 'KA-%%'"
    process = subprocess.Popen(**command(cloud, "import", path, "--yes"))
    with process:
        wait_until(lambda: cloud.sql(count)[0]["n"] > 0)
        process.kill()
    imported = cloud.sql(count)[0]["n"]
    assert 0 < imported < 9000
    counts = result(cloud, path, "--yes")
    assert counts["created"] + counts["unchanged"] == 9010
    assert counts["unchanged"] >= imported
    [registered] = cloud.sql(
        "SELECT count(*) AS n FROM movements WHERE accumulator_id LIKE 'KA-%%'"
    )
    assert registered["n"] == 9000


def test_an_outage_of_the_database_in_the_middle_is_bridged(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    path = fleet(tmp_path / "fleet.csv", "D", cabinets=10, accumulators=9000)
    count = "SELECT count(*) AS n FROM accumulators WHERE accumulator_id LIKE 'DA-%%'"
    process = subprocess.Popen(**command(cloud, "import", path, "--yes", "--json"))
    with process:
        wait_until(lambda: cloud.sql(count)[0]["n"] > 0)
        cloud.control.stop_server("database")
        cloud.start_database()
        stdout, stderr = process.communicate(timeout=100)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["counts"]["failed"] == 0
    assert cloud.sql(count)[0]["n"] == 9000
