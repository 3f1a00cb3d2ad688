"""The route table, filled by the decorator; used for dispatch and for the OpenAPI document."""

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from shared.api.prefer import Preferences
from shared.callers import Caller, Scope
from shared.errors import ServiceError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True)
class Route:
    """A method, a path, and the endpoint that serves them.

    An endpoint's parameters are recognised by name: `request` is the body, `query` the query
    string, `caller` the caller, `prefer` the header Prefer; all others are path parameters.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    scope: Scope | None
    status: int
    raises: tuple[type[ServiceError], ...]
    shows_secret: bool = False
    """Whether a success shows a secret. It is then not stored for an Idempotency-Key: a repeated
    request runs again, with the same `caller.new_id`."""
    etag: bool = False
    """Whether responses have an ETag, and 304 answers If-None-Match. A response's field `at`, the
    time of reading, does not count."""
    moved: bool = False
    """Whether another function has the route now. This one serves it for the gateway of the release
    before, during a deployment."""
    cost: int = 0
    """What a request takes from the allowance of its API key, units (shared/services/allowance.py).
    One is a page of a list, a millisecond or two of the database; 0: the route is not limited."""

    @property
    def module(self) -> str:
        """The module that declares the route: a function's main module."""
        return self.endpoint.__module__

    @property
    def operation_id(self) -> str:
        """The route's name in the OpenAPI document."""
        return self.endpoint.__name__

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the endpoint's parameters and of `return`."""
        return get_type_hints(self.endpoint, include_extras=True)

    @cached_property
    def body(self) -> TypeAdapter[Any] | None:
        """The validator of the body; None if the route has none."""
        return TypeAdapter(self.hints["request"]) if "request" in self.hints else None

    @cached_property
    def query(self) -> type[BaseModel]:
        """The validator of the query string."""
        empty = create_model("NoQuery", __config__=ConfigDict(extra="forbid"))
        found: type[BaseModel] = self.hints.get("query", empty)
        return found

    @cached_property
    def path_parameters(self) -> type[BaseModel]:
        """The validator of the path parameters."""
        names = re.findall(r"{(\w+)}", self.path)
        fields: dict[str, Any] = {name: (self.hints[name], ...) for name in names}
        return create_model("PathParameters", **fields)

    @cached_property
    def takes_caller(self) -> bool:
        """Whether the endpoint has a parameter `caller`."""
        return self.hints.get("caller") is Caller

    @cached_property
    def takes_preferences(self) -> bool:
        """Whether the endpoint has a parameter `prefer`: it may answer 202."""
        return self.hints.get("prefer") is Preferences

    @property
    def summary(self) -> str:
        """The first line of the endpoint's docstring."""
        return (inspect.getdoc(self.endpoint) or "").splitlines()[0]


_routes: list[Route] = []


def route(  # noqa: PLR0913 - a route has that many properties
    method: str,
    path: str,
    *,
    scope: Scope | None,
    status: int = 200,
    raises: tuple[type[ServiceError], ...] = (),
    shows_secret: bool = False,
    etag: bool = False,
    cost: int = 0,
    moved: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Declare an endpoint; `raises`: its errors, besides those that every route can have.

    `shows_secret`, `etag`, `cost`, `moved`: see Route.
    """

    def declare(endpoint: Endpoint) -> Endpoint:
        _routes.append(
            Route(method, path, endpoint, scope, status, raises, shows_secret, etag, moved, cost)
        )
        return endpoint

    return declare


def by_method(path_routes: Iterable[Route]) -> dict[str, Route]:
    """Return the routes of one path by method; the route of GET also serves HEAD."""
    found = {route.method: route for route in path_routes}
    return {**found, "HEAD": found["GET"]} if "GET" in found else found


def routes() -> tuple[Route, ...]:
    """Return the routes that the imported modules declare, without those that have moved."""
    return tuple(route for route in _routes if not route.moved)


def routes_of(module: str) -> tuple[Route, ...]:
    """Return all routes that a module serves."""
    return tuple(route for route in _routes if route.module == module)
