"""The gateway's rate limits: those of the document, each for one operation and all callers."""

from typing import Any

import pytest
from werkzeug.test import Client

from local import CannotStart
from local.functions import FunctionPool
from local.gateway import Gateway, Routes
from tests.unit.local.gateway.small_gateway import Functions, assert_problem, document

LIMIT = "x-yc-apigateway-rate-limit"
REFERENCE = {"$ref": f"#/components/{LIMIT}s/few"}


def limited(limit: dict[str, Any]) -> dict[str, Any]:
    """Return the document with a limit of GET /v1/health and of GET /v1/secret."""
    changed = document()
    changed["components"][f"{LIMIT}s"] = {"few": {"allRequests": {"rps": 3}}}
    for path in ("/v1/health", "/v1/secret"):
        changed["paths"][path]["get"][LIMIT] = limit
    return changed


@pytest.fixture
def client(pool: FunctionPool) -> Client:
    return Client(Gateway(Routes(limited(REFERENCE)), pool, port=0, rate_limits=True).app)


def statuses(client: Client, path: str, count: int = 5) -> list[int]:
    return [client.get(path).status_code for _ in range(count)]


def test_requests_beyond_the_limit_are_429_with_retry_after(client: Client) -> None:
    assert statuses(client, "/v1/health", 3) == [200] * 3
    response = client.get("/v1/health")
    problem = assert_problem(response, 429, "rate_limited")
    assert response.headers["Retry-After"] == "1" == str(problem["retry_after_s"])


def test_a_limit_is_of_one_operation(client: Client) -> None:
    assert statuses(client, "/v1/health")[-1] == 429
    assert client.post("/v1/health").status_code == 200
    assert client.get("/v1/cabinets/all").status_code == 200


def test_a_refused_request_calls_no_function(client: Client, functions: Functions) -> None:
    functions.verdict = {"isAuthorized": False}
    headers = {"Authorization": "Bearer wrong"}
    found = [client.get("/v1/secret", headers=headers).status_code for _ in range(5)]
    assert found == [403, 403, 403, 429, 429]


def test_limits_can_be_switched_off(pool: FunctionPool) -> None:
    client = Client(Gateway(Routes(limited(REFERENCE)), pool, port=0).app)
    assert statuses(client, "/v1/health") == [200] * 5


@pytest.mark.parametrize(
    "limit", [{"allRequests": {"rpm": 3}}, {"allRequests": {}}, {"$ref": "#/components/none"}]
)
def test_a_limit_that_cannot_be_enforced_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(CannotStart, match="GET /v1/health"):
        Routes(limited(limit))
