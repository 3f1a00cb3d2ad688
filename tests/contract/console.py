"""TypeScript checks the types of the console's files, Biome their style and format."""

from collections.abc import Sequence
from pathlib import Path

from console.build import CONSOLE
from tests.contract import tools
from tests.support.processes import ROOT

_BIOME_OPTIONS = ("--colors=off", "--error-on-warnings")


def lint() -> None:
    """Raises Failed with what both programs report. A warning is an error."""
    programs = tools.node_modules() / ".bin"
    reports = [
        *_report([programs / "tsc", "--project", CONSOLE], ROOT),
        *_report([programs / "biome", "ci", *_BIOME_OPTIONS], CONSOLE),
    ]
    if reports:
        raise tools.Failed("\n".join(reports))
    print("console/app: no errors, no warnings")


def fix() -> None:
    """Format the files, and fix what Biome can fix. Raises Failed with the rest."""
    biome = tools.node_modules() / ".bin" / "biome"
    tools.run([biome, "check", "--write", *_BIOME_OPTIONS], CONSOLE)


def _report(command: Sequence[str | Path], directory: Path) -> list[str]:
    try:
        tools.run(command, directory)
    except tools.Failed as failed:
        return [str(failed)]
    return []
