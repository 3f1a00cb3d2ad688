"""The receiver on docs/webhooks.md verifies what the service sends."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from local.children import free_port
from tests.integration.webhooks.delivering import deliver, make_events, state
from tests.support import pages
from tests.support.processes import is_free
from tests.support.service import Service
from tests.support.waiting import wait_until

[PROGRAM] = [one.text for one in pages.blocks("docs/webhooks.md") if one.language == "python"]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def secret(service: Service, port: int) -> str:
    body = {"url": f"http://127.0.0.1:{port}/"}
    made: str = service.post("/v1/webhooks", body)["secret"]
    return made


@pytest.fixture
def program(secret: str, port: int) -> Iterator["subprocess.Popen[str]"]:
    environment = {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            wait_until(lambda: not is_free(port))
            yield process
        finally:
            process.kill()


def test_it_prints_what_happened(service: Service, program: "subprocess.Popen[str]") -> None:
    path = f"/v1/webhooks/{state(service)['webhook_id']}"
    assert service.post(f"{path}/test")["status_code"] == 204
    make_events(service, "A-1")
    assert deliver().failed == 0
    assert program.stdout
    lines = [program.stdout.readline().split()[0] for _ in range(3)]
    assert lines[0] == "webhook.test"
    assert sorted(lines[1:]) == ["accumulator.changed", "accumulator.moved"]


def test_it_refuses_another_secret(service: Service, program: "subprocess.Popen[str]") -> None:
    path = f"/v1/webhooks/{state(service)['webhook_id']}"
    for _ in range(2):
        service.patch(path, {"rotate_secret": True})
    assert service.post(f"{path}/test")["status_code"] == 401
