"""Build the deployed packages: dist/<function>.zip for each function, and dist/bridge.zip.

    python -m terraform.package

The same input gives the same bytes, so Terraform makes a new version of a function only when its
package has changed.
"""
# ruff: noqa: INP001, T201 - a script that prints

import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from terraform import requirements, sbom

ROOT = Path(__file__).resolve().parent.parent
SIZE_LIMIT = 3_670_016
"""Bytes. Terraform does not upload larger archives directly."""
RUNTIME_MAGIC = "cb0d0d0a"
"""First bytes of bytecode for the runtime python312."""
CODE_DIRECTORY = "/function/code"
"""Where the platform unpacks a package; paths in tracebacks start with it."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644
_EXCLUDED = ("__pycache__", "__init__.py", "requirements.in")
_RUNTIME = {
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_full_version": "3.12.0",
    "python_version": "3.12",
    "sys_platform": "linux",
}
"""Environment markers of the machines that packages are installed on."""
_SHARED_BY_BRIDGE = ("__init__", "config", "errors", "log", "mqtt")
"""All of `shared` that the bridge needs. Its package is metadata of the VM: at most 256 KB."""

Files = Mapping[str, bytes]


class PackageTooLarge(RuntimeError):
    """A package is too large for a direct upload by Terraform."""


def build(target: Path, *, root: Path = ROOT, compiler: str | None = None) -> list[Path]:
    """Write every package into `target`; return their paths.

    `compiler`: a Python of the runtime's version. With None, functions contain no bytecode.
    """
    target.mkdir(parents=True, exist_ok=True)
    contents = {folder.name: dict(_function(root, folder)) for folder in _functions(root)}
    if compiler:
        contents = {name: {**c, **_bytecode(c, compiler)} for name, c in contents.items()}
    contents["bridge"] = dict(_bridge(root))  # no bytecode: its VM stores that on disk
    for name, files in contents.items():
        (target / f"{name}.zip").write_bytes(archive(name, files))
    return [target / f"{name}.zip" for name in contents]


def archive(name: str, files: Files) -> bytes:
    """A zip of `files` (path: content); its bytes depend only on them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, date_time=_EPOCH)
            entry.create_system = 3  # Unix: makes the mode below effective
            entry.external_attr = _FILE_MODE << 16
            packed.writestr(entry, files[path], zipfile.ZIP_DEFLATED, compresslevel=9)
    size = buffer.tell()
    if size >= SIZE_LIMIT:
        raise PackageTooLarge(f"{name}.zip has {size} bytes; it must have fewer than {SIZE_LIMIT}")
    return buffer.getvalue()


def find_compiler() -> str | None:
    """A Python on this machine that compiles for the runtime, or None."""
    script = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"
    for python in (sys.executable, "python3.12"):
        try:
            done = subprocess.run(  # noqa: S603 - one of the two above
                [python, "-c", script], capture_output=True, text=True, check=False
            )
        except OSError:
            continue
        if done.stdout.strip() == RUNTIME_MAGIC:
            return python
    return None


def _functions(root: Path) -> list[Path]:
    return sorted(main.parent for main in root.glob("functions/*/main.py"))


def _function(root: Path, folder: Path) -> Iterator[tuple[str, bytes]]:
    """The handler at the root, and all of `shared`.

    All of it, because it is small and some modules (commands, protocols) are imported by discovery
    at run time. Modules that are never imported cost nothing at a cold start.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not set(_EXCLUDED) & set(path.relative_to(folder).parts):
            yield path.relative_to(folder).as_posix(), path.read_bytes()
    yield from _python(root, "shared")
    yield _bill(root, folder)


def _bridge(root: Path) -> Iterator[tuple[str, bytes]]:
    yield "requirements.txt", (root / "bridge" / "requirements.txt").read_bytes()
    yield from _python(root, "bridge")
    for name in _SHARED_BY_BRIDGE:
        yield f"shared/{name}.py", (root / "shared" / f"{name}.py").read_bytes()
    yield _bill(root, root / "bridge")


def _bill(root: Path, folder: Path) -> tuple[str, bytes]:
    versions = requirements.pinned(folder / "requirements.txt", _RUNTIME)
    return sbom.NAME, sbom.of_python(folder.name, versions, root=root)


def _python(root: Path, package: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted((root / package).rglob("*.py")):
        yield path.relative_to(root).as_posix(), path.read_bytes()


def _bytecode(files: Files, compiler: str) -> dict[str, bytes]:
    """Bytecode of the given files, validated by source hash, as unpacking may change times."""
    with tempfile.TemporaryDirectory() as directory:
        for path, content in files.items():
            file = Path(directory, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        command = [compiler, "-I", "-m", "compileall", "-q", "-j", "1"]
        command += ["--invalidation-mode", "checked-hash"]
        command += ["-s", directory, "-p", CODE_DIRECTORY, directory]
        subprocess.run(command, check=True)  # noqa: S603 - find_compiler's answer
        found = sorted(Path(directory).rglob("*.pyc"))
        return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


if __name__ == "__main__":
    python = find_compiler()
    if python is None:
        print("Python 3.12 not found: packages contain no bytecode, so cold starts take longer")
    for package in build(ROOT / "dist", compiler=python):
        print(f"{package.relative_to(ROOT)}: {package.stat().st_size:,} bytes")
