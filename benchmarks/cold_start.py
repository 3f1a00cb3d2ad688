"""A fresh interpreter that imports a handler and answers its first event.

The baseline of a function is a fresh interpreter that imports the same third-party modules but none
of this project, connects to the same servers, and runs one database query.
"""

import compileall
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Measured, Table, median, readable
from benchmarks.first_events import events
from benchmarks.local_cloud import CELLS, ROOT, LocalCloud, environment, running
from terraform import package, requirements

RUNS = 21
GOAL = 1.2

_HOW = """\
Milliseconds from the start of a process to its first response: medians of {runs} fresh processes
of each kind, the kinds alternating, Python {python}. Ours: the package as it is deployed, with
its own bytecode, unpacked into a read-only folder. Baseline: a process that imports the same
third-party modules, connects to PostgreSQL and runs `SELECT 1` if the function does, and logs in
to the broker if the function publishes. Both have only the function's `requirements.txt`
installed. The unlock does not wait for a cabinet."""
_PLACES = """\
The same function started from other places. The interpreter alone takes {bare} ms. The last column
is the part of the first one until the function is imported; the rest is its first event."""

_CALL = """
import sys
import time
import {module} as main
imported = time.monotonic()
class Context:
    request_id, token = "first", None
answer = main.handler({event!r}, Context)
sys.stderr.write(f"{{answer.get('statusCode', 200)}} {{imported}}\\n")
sys.stderr.flush()
"""
_LIST = """
for name, module in list(sys.modules.items()):
    if (getattr(module, "__file__", None) or "").startswith({site!r}):
        sys.stderr.write(name + "\\n")
"""
_ANSWER = """
import sys
sys.stderr.write("200\\n")
sys.stderr.flush()
"""
_SELECT = """
import psycopg2
cursor = psycopg2.connect({DATABASE_URL!r}).cursor()
cursor.execute("SELECT 1")
cursor.fetchall()
"""
_LOG_IN = """
from paho.mqtt import client as paho
queue = paho.Client(paho.CallbackAPIVersion.VERSION2)
queue.username_pw_set({MQTT_USERNAME!r}, {MQTT_PASSWORD!r})
queue.connect({MQTT_HOST!r}, {MQTT_PORT})
while not queue.is_connected():
    queue.loop(1)
"""


@dataclass(frozen=True)
class Place:
    """A folder with the functions' code: `folder` and `module` contain `{name}`."""

    title: str
    folder: Path
    module: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """One kind of process; `program` returns the code for each run."""

    program: Callable[[], str]
    folder: Path
    environment: Mapping[str, str]
    seconds: list[float] = field(default_factory=list)
    import_seconds: list[float] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        """The median."""
        return 1000 * median(self.seconds)

    @property
    def import_milliseconds(self) -> float:
        """The median of the part until the function is imported; the rest is the first event."""
        return 1000 * median(self.import_seconds)

    def run(self) -> list[str]:
        """Time one process; return what it wrote after its response."""
        command = [
            sys.executable,
            "-S",
            "-c",
            self.program(),
        ]  # -S: without the packages of this environment
        began = time.monotonic()
        with subprocess.Popen(  # noqa: S603 - our own programs
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            answer = process.stderr.readline() if process.stderr else ""
            self.seconds.append(time.monotonic() - began)
            rest = process.communicate()[1]
        status, _, imported = answer.strip().partition(" ")
        if status not in {"200", "201", "504"}:  # 504: the cabinet is not waited for
            raise RuntimeError(f"the first event of {self.folder} failed: {answer}{rest}")
        if imported:
            self.import_seconds.append(float(imported) - began)
        return rest.split()


def measure(*, quick: bool) -> Measured:
    """Measure every function from each place, and its baseline."""
    runs = 1 if quick else RUNS
    bookings = 2 * (3 * (runs + 1) + 1)
    with running(cabinets=1 + bookings // CELLS) as cloud, _places() as (places, sites):
        for cabinet in cloud.cabinets:
            cabinet.reply_mode = "deaf"
        rows = {
            name: _kinds(cloud, name, event, places, _installed(name, sites))
            for name, event in events(cloud).items()
        }
        bare = Kind(lambda: _ANSWER, ROOT, environment({}))
        for _ in range(runs):
            for kind in [bare, *(kind for kinds in rows.values() for kind in kinds)]:
                kind.run()
    titles = [*(f"{place.title}, ms" for place in places), "baseline, ms", "package: import, ms"]
    cells = [
        [name, *(readable(k.milliseconds) for k in kinds), readable(kinds[0].import_milliseconds)]
        for name, kinds in rows.items()
    ]
    return Measured(
        how=_HOW.format(runs=runs, python=platform.python_version()),
        figures=[_figure(name, kinds[0], kinds[-1]) for name, kinds in rows.items()],
        tables=[
            Table(["function", *titles], cells, _PLACES.format(bare=readable(bare.milliseconds)))
        ],
    )


def _figure(name: str, ours: Kind, baseline: Kind) -> Figure:
    return Figure(
        name,
        ours.milliseconds,
        "ms",
        baseline=baseline.milliseconds,
        goal=f"≤ {GOAL} x the baseline",
        met=ours.milliseconds <= GOAL * baseline.milliseconds,
    )


def _kinds(
    cloud: LocalCloud,
    name: str,
    event: Callable[[], dict[str, Any]],
    places: list[Place],
    site: str,
) -> list[Kind]:
    """The function from each place; its baseline is the last."""
    settings = {
        **cloud.settings,
        "UNLOCK_WAIT_SECONDS": "0.001",
        "POLL_SPREAD_SECONDS": "600",
        "PYTHONPATH": site,
    }

    def kind(place: Place, more: str = "") -> Kind:
        def program() -> str:
            return _CALL.format(module=place.module.format(name=name), event=event()) + more

        folder = Path(str(place.folder).format(name=name))
        return Kind(program, folder, environment({**settings, **place.environment}))

    loaded = kind(places[0], _LIST.format(site=site)).run()
    baseline = "".join(f"import {module}\n" for module in loaded)
    baseline += _SELECT.format(**settings) if "psycopg2" in loaded else ""
    baseline += _LOG_IN.format(**settings) if "paho.mqtt.client" in loaded else ""
    alone = environment({"PYTHONPATH": site})
    return [*map(kind, places), Kind(lambda: baseline + _ANSWER, ROOT, alone)]


def _installed(name: str, sites: Path) -> str:
    """Make a folder with the function's pinned requirements, as the platform installs them."""
    site = sites / name
    for pinned in requirements.pinned(ROOT / "functions" / name / "requirements.txt"):
        one = distribution(pinned)
        for file in one.files or []:
            if (
                ".." not in file.parts and "__pycache__" not in file.parts
            ):  # scripts; compiled below
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), site / file)
    compileall.compile_dir(site, quiet=1)
    return str(site)


@contextmanager
def _places() -> Iterator[tuple[list[Place], Path]]:
    """Packages with bytecode, packages without, and the source tree; and a folder for sites."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        read_only = {"PYTHONDONTWRITEBYTECODE": "1"}
        places = [
            Place("package", Path(directory, "compiled", "{name}"), "main", read_only),
            Place("package without bytecode", Path(directory, "bare", "{name}"), "main", read_only),
            Place("source tree", ROOT, "functions.{name}.main"),
        ]
        for place, compiler in zip(places, (sys.executable, None), strict=False):
            for archive in package.build(Path(directory, "dist"), compiler=compiler):
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(str(place.folder).format(name=archive.stem))
        yield places, Path(directory, "sites")
