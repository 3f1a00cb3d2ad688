"""Generates a Python and a TypeScript client, and runs a shift with each against a local cloud."""

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from local.stack import API_KEYS
from tests.contract import tools
from tests.support.local_cloud import LocalCloud, check_invariants, running
from tests.support.openapi_check import DOCUMENT

_HERE = Path(__file__).parent
_STRICT = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"]
_TARGET = ["--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom"]


def play() -> None:
    """Raises Failed if a client cannot be generated, or if its shift fails."""
    python, modules = tools.python(), tools.node_modules()
    with tempfile.TemporaryDirectory(dir=tools.FOLDER) as folder, running() as stack:
        _in_python(stack, Path(folder), python)
        _in_typescript(stack, Path(folder), modules)
        check_invariants(stack)


def _in_python(stack: LocalCloud, folder: Path, python: Path) -> None:
    client = folder / "cabinets_client"
    generator = python.with_name("openapi-python-client")
    options: list[str | Path] = ["--meta", "none", "--fail-on-warning", "--output-path", client]
    path = f"{python.parent}:/usr/bin:/bin"  # the generator formats with ruff
    tools.run([generator, "generate", "--path", DOCUMENT, *options], folder, {"PATH": path})
    _count("Python", client.rglob("*.py"))
    script = shutil.copy(_HERE / "play_shift.py", folder)
    print(tools.run([python, script, *_arguments(stack, "T-PY")], folder), end="")


def _in_typescript(stack: LocalCloud, folder: Path, modules: Path) -> None:
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}')
    schema = folder / "schema.ts"
    tools.run([modules / ".bin" / "openapi-typescript", DOCUMENT, "-o", schema], folder)
    _count("TypeScript", [schema])
    script = shutil.copy(_HERE / "play_shift.ts", folder)
    tools.run([modules / ".bin" / "tsc", *_STRICT, *_TARGET, script], folder)
    command = ["node", "play_shift.js", *_arguments(stack, "T-TS")]
    print(tools.run(command, folder), end="")


def _arguments(stack: LocalCloud, technician: str) -> list[str]:
    return [stack.url, API_KEYS["backend"], stack.addresses["control_url"], technician]


def _count(language: str, files: Iterable[Path]) -> None:
    lines = [len(file.read_text().splitlines()) for file in files]
    print(f"{language} client: {len(lines)} files, {sum(lines)} lines")
