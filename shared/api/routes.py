"""The route table: what the decorator says, for dispatch and for the OpenAPI document."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from shared.callers import Caller, Scope
from shared.errors import ServiceError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True)
class Route:
    """One method and path, and the endpoint that answers it.

    An endpoint's parameters are found by name: `request` is the body, `query` the query string,
    `caller` who calls; the others are parameters of the path.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    scope: Scope | None
    status: int
    raises: tuple[type[ServiceError], ...]

    @property
    def module(self) -> str:
        """The module that declares it: a function's main module."""
        return self.endpoint.__module__

    @property
    def operation_id(self) -> str:
        """Its name in the OpenAPI document."""
        return self.endpoint.__name__

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The endpoint's parameter types, and `return`."""
        return get_type_hints(self.endpoint, include_extras=True)

    @cached_property
    def body(self) -> TypeAdapter[Any] | None:
        """What validates the body; None if there is none."""
        return TypeAdapter(self.hints["request"]) if "request" in self.hints else None

    @cached_property
    def query(self) -> type[BaseModel]:
        """What validates the query string."""
        empty = create_model("NoQuery", __config__=ConfigDict(extra="forbid"))
        found: type[BaseModel] = self.hints.get("query", empty)
        return found

    @cached_property
    def path_parameters(self) -> type[BaseModel]:
        """What validates the parameters of the path."""
        names = re.findall(r"{(\w+)}", self.path)
        fields: dict[str, Any] = {name: (self.hints[name], ...) for name in names}
        return create_model("PathParameters", **fields)

    @cached_property
    def takes_caller(self) -> bool:
        """Whether the endpoint wants to know who calls."""
        return self.hints.get("caller") is Caller

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return (inspect.getdoc(self.endpoint) or "").splitlines()[0]


_routes: list[Route] = []


def route(
    method: str,
    path: str,
    *,
    scope: Scope | None,
    status: int = 200,
    raises: tuple[type[ServiceError], ...] = (),
) -> Callable[[Endpoint], Endpoint]:
    """Declare an endpoint; `raises`: its own errors, besides those that every route can have."""

    def declare(endpoint: Endpoint) -> Endpoint:
        _routes.append(Route(method, path, endpoint, scope, status, raises))
        return endpoint

    return declare


def routes() -> tuple[Route, ...]:
    """Every route that was declared by the modules imported so far."""
    return tuple(_routes)
