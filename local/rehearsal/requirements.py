"""A package's requirements: of what is installed here, exactly what its requirements.txt lists."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from local import CannotStart

_NOT_IMPORTED = ("..", "__pycache__")
"""Commands, and bytecode that Python finds by itself."""


def install(requirements: Path, site: Path) -> None:
    """Link what the file lists from where it is installed, so that nothing else can be imported.

    Raises CannotStart if something is not installed here in the version that is listed.
    """
    site.mkdir(parents=True, exist_ok=True)
    for line in filter(None, map(str.strip, requirements.read_text().splitlines())):
        name, _, version = line.partition("==")
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            raise CannotStart(f"{line} is not installed here: make setup") from None
        if installed.version != version:
            raise CannotStart(f"{line} is wanted, {installed.version} is here: make setup")
        tops = {file.parts[0] for file in installed.files or ()}
        for top in tops:
            link = site / top
            if top not in _NOT_IMPORTED and not link.exists():
                link.symlink_to(str(installed.locate_file(top)))
