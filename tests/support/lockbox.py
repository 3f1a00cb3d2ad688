"""A fake of Lockbox and of a VM's metadata service over HTTP, for scripts in child processes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from local.children import HOST

LIMIT_BYTES = 64 * 1024


class Cloud:
    """Lockbox and the metadata service, as far as the scripts use them."""

    TOKEN = "t1.test"  # noqa: S105 - of a fake

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {
            "service-accounts/default/token": json.dumps({"access_token": self.TOKEN})
        }
        self.secrets: dict[str, list[dict[str, str]]] = {}
        self.destroyed: list[str] = []
        self.agents: dict[str, str] = {}
        """The programs of Unified Agent, by version."""
        self.broken = False
        """While set, every request to Lockbox fails."""
        self.changes_until_broken: int | None = None
        """After this many changes of secrets, `broken` is set."""
        self._server = ThreadingHTTPServer((HOST, 0), type("_", (_Requests,), {"cloud": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that direct the scripts to this server."""
        return {
            "METADATA_URL": f"{self.url}/metadata",
            "LOCKBOX_URL": f"{self.url}/lockbox",
            "PAYLOAD_URL": f"{self.url}/payload",
            "OPERATIONS_URL": f"{self.url}/operations",
            "AGENTS_URL": f"{self.url}/agents",
            "YC_TOKEN": self.TOKEN,
        }

    def respond(self, method: str, path: str, headers: Any, body: Any) -> str | None:
        """Return the body of the response; None stands for 404."""
        service, _, rest = path.strip("/").partition("/")
        if service == "metadata":
            return self.metadata.get(rest) if headers["Metadata-Flavor"] == "Google" else None
        if service == "agents":
            return self.agents.get(rest.removesuffix("/unified_agent"))
        if self.broken or headers["Authorization"] != f"Bearer {self.TOKEN}":
            return None
        if service == "operations":
            return json.dumps({"id": rest, "done": True})
        secret_id, _, action = rest.removeprefix("secrets/").partition(
            ":" if method == "POST" else "/"
        )
        return json.dumps(self._lockbox(self.secrets[secret_id], action, body))

    def _lockbox(self, versions: list[dict[str, str]], action: str, body: Any) -> Any:
        match action:
            case "payload":
                entries = [{"key": k, "textValue": v} for k, v in versions[-1].items()]
                return {"entries": entries}
            case "addVersion":
                changed = {e["key"]: e["textValue"] for e in body["payloadEntries"]}
                merged = {**(versions[-1] if versions else {}), **changed}
                if sum(map(len, merged.values())) > LIMIT_BYTES:
                    return {"id": "operation", "done": True, "error": {"message": "too large"}}
                versions.append({k: v for k, v in merged.items() if v})
                self._count_change()
                return {"id": "operation", "done": False}
            case "scheduleVersionDestruction":
                self.destroyed.append(body["versionId"])
                return {"id": "operation", "done": True}
            case _:
                return {"currentVersion": {"id": str(len(versions))}} if versions else {}

    def _count_change(self) -> None:
        if self.changes_until_broken is not None:
            self.changes_until_broken -= 1
            self.broken = self.changes_until_broken == 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Requests(BaseHTTPRequestHandler):
    cloud: Cloud

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        text = self.cloud.respond(self.command, urlsplit(self.path).path, self.headers, body)
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "not found").encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""
