"""Reads from the OpenAPI document which function serves each method and path."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, Rule

from local import CannotStart
from local.children import HOST

_RATE_LIMIT = "x-yc-apigateway-rate-limit"
ANY_METHOD = "x-yc-apigateway-any-method"
"""The key of the operation that serves the methods which a path does not describe."""


@dataclass(frozen=True)
class Operation:
    """One method of one path in the document."""

    method: str
    """In capitals; ANY_METHOD: every method that the path does not describe."""
    resource: str
    operation_id: str | None
    function: str
    authorizer: str | None
    parameters: tuple[tuple[str, str], ...]
    """A declared parameter: its location (path, query, header, cookie) and its name."""
    context: dict[str, Any]
    most_per_second: float | None = None
    """Its rate limit, for all callers together; None: it has none."""


class Routes:
    """The operations of a document, by method and path."""

    def __init__(self, document: dict[str, Any]) -> None:
        """Raises CannotStart if the document has an operation that cannot be served."""
        self.document = document
        self._operations = {(o.method, o.resource): o for o in operations(document)}
        resources = {resource for _, resource in self._operations}
        rules = [Rule(_rule(resource), endpoint=resource) for resource in sorted(resources)]
        self._paths = Map(rules, merge_slashes=False).bind(HOST)

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation and the path's parameters; None if there is no such operation."""
        try:
            resource, parameters = self._paths.match(path.rstrip("/") or "/")
        except NotFound:
            return None
        operation = self._operations.get((method, resource)) or self._operations.get(
            (ANY_METHOD, resource)
        )
        return (operation, dict(parameters)) if operation else None


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Return all operations that a function serves. Raises CannotStart if one is unsupported.

    Those that a bucket serves are left out: they are for the gateway's pages.
    """
    for resource, path_item in document["paths"].items():
        for method, described in path_item.items():
            if _has_integration(described) and not _is_served_by_a_bucket(described):
                try:
                    yield _operation(document, resource, method)
                except (KeyError, ValueError) as error:
                    raise CannotStart(
                        f"the OpenAPI document is wrong at {method.upper()} {resource}: {error!r};"
                        " run make documents"
                    ) from None


def _has_integration(described: Any) -> bool:
    return isinstance(described, dict) and "x-yc-apigateway-integration" in described


def _is_served_by_a_bucket(described: dict[str, Any]) -> bool:
    return bool(described["x-yc-apigateway-integration"].get("type") == "object_storage")


def _operation(document: dict[str, Any], resource: str, method: str) -> Operation:
    path_item = document["paths"][resource]
    described = path_item[method]
    integration = described["x-yc-apigateway-integration"]
    if (integration["type"], integration["payload_format_version"]) != ("cloud_functions", "1.0"):
        raise ValueError("only cloud_functions with payload format 1.0 can be served here")
    declared = [*path_item.get("parameters", []), *described.get("parameters", [])]
    parameters = [_resolve(document, parameter) for parameter in declared]
    return Operation(
        method=method if method == ANY_METHOD else method.upper(),
        resource=resource,
        operation_id=None if method == ANY_METHOD else described["operationId"],
        function=_function_name(integration["function_id"]),
        authorizer=_authorizer(document, described.get("security", document.get("security", []))),
        parameters=tuple((parameter["in"], parameter["name"]) for parameter in parameters),
        context=integration.get("context", {}),
        most_per_second=_rate_limit(document, described.get(_RATE_LIMIT)),
    )


def _authorizer(document: dict[str, Any], security: list[dict[str, Any]]) -> str | None:
    for requirement in security:
        for scheme in requirement:
            described = document["components"]["securitySchemes"][scheme]
            return _function_name(described["x-yc-apigateway-authorizer"]["function_id"])
    return None


def _rate_limit(document: dict[str, Any], described: dict[str, Any] | None) -> float | None:
    if described is None:
        return None
    limit = _resolve(document, described)["allRequests"]
    if set(limit) != {"rps"}:
        raise ValueError("only rate limits in rps can be enforced here")
    return float(limit["rps"])


def _function_name(template: str) -> str:
    found = re.fullmatch(r"\$\{function_ids\.(\w+)\}", template)
    if not found:
        raise ValueError(f"{template!r} is not ${{function_ids.NAME}}")
    return found[1]


def _resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target: Any = document
    for step in node["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return _resolve(document, target)


def _rule(resource: str) -> str:
    """Return a path in Werkzeug's notation; `{name+}` matches the rest of the path."""
    greedy = re.sub(r"\{(\w+)\+\}", r"<path:\1>", resource)
    return re.sub(r"\{(\w+)\}", r"<\1>", greedy)
