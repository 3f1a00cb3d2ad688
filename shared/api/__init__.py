"""The HTTP edge: routes, keys, problems. A function's module declares routes and is done."""

from shared.api.handling import handler_of
from shared.api.routes import Route, route, routes
from shared.callers import Caller, Scope

__all__ = ["Caller", "Route", "Scope", "handler_of", "route", "routes"]
