"""The HTTP edge: a function's module declares routes; this package does the rest."""

from shared.api.handling import handler_of
from shared.api.prefer import Accepted, Preferences
from shared.api.routes import Route, by_method, route, routes
from shared.callers import Caller, Scope

__all__ = [
    "Accepted",
    "Caller",
    "Preferences",
    "Route",
    "Scope",
    "by_method",
    "handler_of",
    "route",
    "routes",
]
