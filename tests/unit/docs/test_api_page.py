"""docs/api.md has every route and every error."""

import re
from collections.abc import Iterator

import pytest

from local import openapi
from shared import errors
from shared.errors import ServiceError
from tests.support import pages

PAGE = pages.read("docs/api.md")
METHODS = {"get", "post", "put", "patch", "delete"}
ROUTE = re.compile(r"^\| `([A-Z]+ /\S+)` \|", re.MULTILINE)


def routes() -> list[str]:
    """Return the routes of the OpenAPI document, as the page writes them."""
    paths = openapi.document()["paths"]
    return [f"{m.upper()} {path}" for path, item in paths.items() for m in item.keys() & METHODS]


def leaves(cls: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """Yield the errors that are raised."""
    children = [one for one in cls.__subclasses__() if one.__module__ == errors.__name__]
    for child in children:
        yield from leaves(child)
    if not children:
        yield cls


def test_the_table_has_each_route_once() -> None:
    assert sorted(ROUTE.findall(PAGE)) == sorted(routes())


@pytest.mark.parametrize("code", sorted(error.code() for error in leaves()))
def test_each_error_is_explained(code: str) -> None:
    assert f"`{code}`" in PAGE
