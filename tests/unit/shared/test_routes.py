"""The route table: what the decorator declares."""

import importlib

from tests.support.routes import ROUTES


def test_a_declared_endpoint_stays_the_function_of_its_module() -> None:
    for route in ROUTES.values():
        module = importlib.import_module(route.module)
        assert getattr(module, route.operation_id) is route.endpoint
