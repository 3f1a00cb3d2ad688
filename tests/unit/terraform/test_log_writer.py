"""Granting the role on the log group, with a fake of the cloud's API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from terraform import log_writer

GRANTED = (200, {"done": True, "response": {}})


class _Logging(ThreadingHTTPServer):
    """Gives its answers in turn, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, Any]]] = [GRANTED]
        self.requests: list[tuple[str, str, dict[str, Any]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Logging

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        status, answer = self.server.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Logging]:
    with _Logging() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setattr(log_writer, "LOGGING_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(log_writer, "PATIENCE_SECONDS", 0)
        monkeypatch.setenv("YC_TOKEN", "t1.deployer")
        yield server
        server.shutdown()


def test_the_account_gets_the_role_on_this_log_group_only(cloud: _Logging) -> None:
    log_writer.grant("e23group", "ajebridge")
    [(path, authorization, body)] = cloud.requests
    assert path == "/logGroups/e23group:updateAccessBindings"
    assert authorization == "Bearer t1.deployer"
    subject = {"id": "ajebridge", "type": "serviceAccount"}
    binding = {"roleId": "logging.writer", "subject": subject}
    assert body == {"accessBindingDeltas": [{"action": "ADD", "accessBinding": binding}]}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((403, {"message": "denied"}), "403: .*denied"),
        ((200, {"done": True, "error": {"message": "no such account"}}), "no such account"),
    ],
)
def test_a_refusal_is_an_error_with_its_reason(
    cloud: _Logging, answer: tuple[int, dict[str, Any]], reason: str
) -> None:
    cloud.answers = [answer]
    with pytest.raises(log_writer.GrantFailed, match=f"log group e23group: .*{reason}"):
        log_writer.grant("e23group", "ajebridge")


def test_a_refusal_that_passes_is_repeated(
    cloud: _Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "PATIENCE_SECONDS", 60)
    monkeypatch.setattr(log_writer, "PAUSE_SECONDS", 0)
    cloud.answers = [(403, {}), GRANTED]
    log_writer.grant("e23group", "ajebridge")
    assert len(cloud.requests) == 2
