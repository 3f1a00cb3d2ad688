"""Reads the lists of pinned packages, requirements.txt, that `make requirements` writes."""
# ruff: noqa: INP001 - not a package

from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pinned(requirements: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the versions by canonical name.

    `environment`: values of environment markers that replace those of this Python; a package that
    is not for this environment is left out.
    """
    found: dict[str, str] = {}
    for line in requirements.read_text().splitlines():
        if not line or line.startswith(("#", " ")):  # a comment, or a hash
            continue
        requirement = Requirement(line.removesuffix("\\"))
        if requirement.marker is None or requirement.marker.evaluate(dict(environment or {})):
            version = str(requirement.specifier).removeprefix("==")
            found[canonicalize_name(requirement.name)] = version
    return found
