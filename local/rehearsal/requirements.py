"""Gives a package exactly the installed distributions that its requirements.txt lists."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from local import CannotStart
from terraform.requirements import pinned

_NOT_IMPORTED = ("..", "__pycache__")
"""Scripts outside of site-packages, and bytecode."""


def install(requirements: Path, site: Path) -> None:
    """Link the listed distributions into `site`, so that no others can be imported from it.

    Raises CannotStart if one is not installed in the listed version.
    """
    site.mkdir(parents=True, exist_ok=True)
    for name, version in pinned(requirements).items():
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            raise CannotStart(f"{name}=={version} is not installed: run make setup") from None
        if installed.version != version:
            raise CannotStart(
                f"{name}=={version} is required, {installed.version} installed: run make setup"
            )
        top_level = {file.parts[0] for file in installed.files or ()}
        for top in top_level:
            link = site / top
            if top not in _NOT_IMPORTED and not link.exists():
                link.symlink_to(str(installed.locate_file(top)))
