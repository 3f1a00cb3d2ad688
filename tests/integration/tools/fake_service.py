"""`GET /v1/me` and `POST /v1/imports` over real HTTP, with the failures that a test plans."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

KEY = "key-of-operator"
ID = {"cabinets": "cabinet_id", "accumulators": "accumulator_id"}


class Reply(NamedTuple):
    """A response that is planned instead of the usual one."""

    status: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


CUT = "the connection is cut after the request has been executed"
Planned = Reply | str


@dataclass
class FakeService:
    """Keeps what is imported, and every request."""

    scope: str = "operator"
    stored: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Ids of items that fail, and the rest of their result."""
    planned: list[Planned] = field(default_factory=list)
    """What happens to the next imports, in order."""
    me: Reply | None = None
    before: Callable[[int], None] = lambda _number: None
    """Is called before each import is executed, with its number from 1."""
    requests: list[tuple[str, Any]] = field(default_factory=list)
    """Idempotency key and body of each import that arrived."""
    executed: int = 0
    """How many imports were executed, and not replayed."""
    replies: dict[str, bytes] = field(default_factory=dict)
    lists: dict[str, bytes] = field(default_factory=dict)
    """Bodies of GET, by path."""
    url: str = ""

    def answer_me(self, authorization: str) -> Reply:
        if self.me is not None:
            return self.me
        if authorization != f"Bearer {KEY}":
            return Reply(403, b'{"code": "forbidden"}')
        return Reply(200, json.dumps({"caller": "someone", "scope": self.scope}).encode())

    def answer_import(self, key: str, raw: bytes) -> Reply | None:
        """Return the response; None: cut the connection."""
        self.requests.append((key, json.loads(raw)))
        self.before(len(self.requests))
        planned = self.planned.pop(0) if self.planned else None
        if isinstance(planned, Reply):
            return planned
        if key not in self.replies:
            self.executed += 1
            self.replies[key] = json.dumps(self._execute(json.loads(raw))).encode()
        return None if planned == CUT else Reply(200, self.replies[key])

    def _execute(self, body: Any) -> Any:
        results = [
            {"kind": name[:-1], "id": item[ID[name]], **self._result(item[ID[name]], item, body)}
            for name in ID
            for item in body.get(name, [])
        ]
        return {"results": results, "counts": {}}

    def _result(self, item_id: str, item: Any, body: Any) -> dict[str, Any]:
        if item_id in self.refused:
            return {"result": "failed", **self.refused[item_id]}
        before = self.stored.get(item_id)
        if not body.get("dry_run"):
            self.stored[item_id] = item
        return {
            "result": "created" if before is None else "unchanged" if before == item else "updated"
        }


@contextmanager
def serving(fake: FakeService) -> Iterator[FakeService]:
    """Serve on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path in fake.lists:
                return self._send(Reply(200, fake.lists[path]))
            authorization = self.headers.get("Authorization", "")
            return self._send(fake.answer_me(authorization) if path == "/v1/me" else Reply(404))

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(fake.answer_import(self.headers.get("Idempotency-Key", ""), raw))

        def _send(self, reply: Reply | None) -> None:
            if reply is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
