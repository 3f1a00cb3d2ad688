"""A package's software bill of materials, in CycloneDX JSON: what is in it besides our code.

The same contents give the same bytes: it has no time, and its serial number is a hash.
"""
# ruff: noqa: INP001 - not a package

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

NAME = "sbom.cdx.json"
PROJECT = "scooter-accumulator"


def of_python(name: str, versions: Mapping[str, str], *, root: Path) -> bytes:
    """Return the bill of a package that needs these Python packages; `versions`: by name."""
    return _bill(name, (_library("pypi", *one) for one in versions.items()), root)


def of_npm(
    name: str, versions: Mapping[str, str], files: Mapping[str, str], *, root: Path
) -> bytes:
    """Return the bill of a package that contains files of these npm packages.

    `files`: the SHA-256 of each file, by its path: the npm package's name, a slash, its path there.
    """
    return _bill(name, (_npm(*one, files) for one in versions.items()), root)


def _npm(name: str, version: str, files: Mapping[str, str]) -> Component:
    library = _library("npm", name, version)
    for path, digest in files.items():
        if path.startswith(f"{name}/"):
            hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
            file = Component(type=ComponentType.FILE, name=path, hashes=hashes, bom_ref=path)
            library.components.add(file)
    return library


def _library(registry: str, name: str, version: str) -> Component:
    purl = PackageURL(registry, name=name, version=version)
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def _bill(name: str, libraries: Iterable[Component], root: Path) -> bytes:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    kind = ComponentType.APPLICATION
    package = Component(
        type=kind, group=PROJECT, name=name, version=project["version"], bom_ref=name
    )
    bill = Bom(components=libraries, metadata=BomMetaData(component=package))
    bill.metadata.timestamp = None  # type: ignore[assignment]  # no time
    contents = [str(component.bom_ref) for component in (package, *sorted(bill.components))]
    bill.serial_number = uuid5(NAMESPACE_URL, " ".join([PROJECT, project["version"], *contents]))
    bill.register_dependency(package, bill.components)
    return JsonV1Dot6(bill).output_as_string(indent=2).encode()
