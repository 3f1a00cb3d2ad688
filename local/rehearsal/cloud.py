"""The cloud's APIs that the deployed code calls, served on this machine behind an HTTPS proxy.

Functions, Lockbox, virtual machine metadata, Monitoring and Object Storage have their real host
names, and certificates of a temporary CA, so that the deployed code runs unchanged. The topology's
role bindings decide what an account may do.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from local.children import HOST
from local.functions import FunctionFailed, FunctionTimedOut
from local.rehearsal.bucket import Objects, StoredObject
from local.rehearsal.certificates import Authority
from local.rehearsal.topology import READER, VIEWER, Topology

OPERATOR = "operator"
"""The account of the person who deploys; it may do everything."""
_METADATA = "169.254.169.254"
_FUNCTIONS = "functions.yandexcloud.net"
_LOCKBOX = "lockbox.api.cloud.yandex.net"
_PAYLOADS = "payload.lockbox.api.cloud.yandex.net"
_MONITORING = "monitoring.api.cloud.yandex.net"
_STORAGE = "storage.yandexcloud.net"
_AGENTS = "/yc-unified-agent/releases/"
HOSTS = (_FUNCTIONS, _LOCKBOX, _PAYLOADS, _MONITORING, _STORAGE)

Invoke = Callable[[str, Any], Any]


class CloudError(Exception):
    """An error response of the cloud."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def token_of(account: str) -> str:
    """Return an account's IAM token."""
    return f"t1.{account}"


class Cloud:
    """A server of the APIs; processes with `environment` call it instead of the cloud."""

    def __init__(
        self,
        topology: Topology,
        authority: Authority,
        *,
        secrets: Mapping[str, dict[str, str]],
        invoke: Invoke,
    ) -> None:
        """`secrets`: entries by secret id; `invoke`: called with a function's name and event."""
        self.refusals: list[str] = []
        self.metrics: list[dict[str, Any]] = []
        self.metadata: dict[str, str] = {}
        self.objects: Objects = {}
        self.secrets = {name: [entries] if entries else [] for name, entries in secrets.items()}
        self.contexts = {host: authority.tls_context(host) for host in HOSTS}
        self._topology = topology
        self._invoke = invoke
        self._authority = authority
        self._server = _Server((HOST, 0), _RequestHandler)
        self._server.cloud = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="cloud", daemon=True
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a process that calls this server."""
        proxy = f"http://{HOST}:{self._server.server_port}"
        ca = str(self._authority.ca)
        names = ("http_proxy", "https_proxy")
        return dict.fromkeys(names, proxy) | {"SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca}

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, request: "_RequestHandler", host: str, body: Any) -> Any:
        """Return the response body, a JSON value or text. Raises CloudError."""
        url = urlsplit(request.path)
        if host == _METADATA:
            return self._read_metadata(url.path.rpartition("/instance/")[2])
        if host == _STORAGE and url.path.startswith(_AGENTS):
            return ""  # Unified Agent, which the rehearsal does not run
        account = request.headers.get("Authorization", "").removeprefix("Bearer t1.")
        if host == _FUNCTIONS:
            return self._invoke_function(account, url.path.strip("/"), body)
        if host == _MONITORING:
            self._check_may_write_metrics(account)
            self.metrics.append(body)
            return {}
        secret_id, _, action = url.path.removeprefix("/lockbox/v1/secrets/").partition(
            ":" if request.command == "POST" else "/"
        )
        return self._lockbox(account, secret_id, action, body)

    def store(self, request: "_RequestHandler", host: str, content: bytes) -> str:
        """Store an object; return an empty response body. Raises CloudError."""
        _, bucket, key = urlsplit(request.path).path.split("/", 2)
        account = request.headers.get("Authorization", "").removeprefix("Bearer t1.")
        buckets = {one.values["bucket"] for one in self._topology.all("yandex_storage_bucket")}
        if host != _STORAGE or bucket not in buckets:
            raise CloudError(404, f"there is no bucket {bucket}")
        if account != OPERATOR:
            raise CloudError(403, f"{self._name(account)} may not write to {bucket}")
        headers = request.headers
        self.objects[bucket, key] = StoredObject(
            content, headers.get("Content-Type", ""), headers.get("Cache-Control", "")
        )
        return ""

    def _read_metadata(self, path: str) -> str:
        if path == "service-accounts/default/token":
            account = self._topology.machine.values["service_account_id"]
            return json.dumps({"access_token": token_of(account), "expires_in": 3600})
        key = path.removeprefix("attributes/")
        return self.metadata.get(key) or self._topology.metadata(key)

    def _invoke_function(self, account: str, function_id: str, event: Any) -> Any:
        function = self._topology.functions.get(function_id)
        if function is None:
            raise CloudError(404, f"there is no function {function_id}")
        if account != OPERATOR and not self._topology.may_invoke(account, function_id):
            raise CloudError(403, f"{self._name(account)} may not invoke {function.address}")
        return self._invoke(function.name, event)

    def _check_may_write_metrics(self, account: str) -> None:
        required = (f"serviceAccount:{account}", "monitoring.editor")
        members = self._topology.all("yandex_resourcemanager_folder_iam_member")
        if required not in {(one.values["member"], one.values["role"]) for one in members}:
            raise CloudError(403, f"{self._name(account)} may not write metrics")

    def _lockbox(self, account: str, secret_id: str, action: str, body: Any) -> Any:
        if secret_id not in self.secrets:
            raise CloudError(404, f"there is no secret {secret_id}")
        versions = self.secrets[secret_id]
        role = READER if action == "payload" else VIEWER
        if account != OPERATOR and not self._topology.may_read(account, secret_id, role):
            raise CloudError(403, f"{self._name(account)} lacks the role {role} on {secret_id}")
        if action == "payload":
            return {"entries": [{"key": k, "textValue": v} for k, v in versions[-1].items()]}
        if action == "addVersion":
            changed = {e["key"]: e["textValue"] for e in body["payloadEntries"]}
            merged = {**(versions[-1] if versions else {}), **changed}
            versions.append({k: v for k, v in merged.items() if v})
        return {"id": "local", "done": True} | (
            {"currentVersion": {"id": str(len(versions))}} if versions else {}
        )

    def _name(self, account: str) -> str:
        return self._topology.name_of(account)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    cloud: Cloud


class _RequestHandler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _host = ""

    def do_CONNECT(self) -> None:
        """Act as the requested host on this connection, with TLS."""
        self._host = self.path.partition(":")[0]
        context = self.server.cloud.contexts.get(self._host)
        if context is None:
            self.server.cloud.refusals.append(f"the rehearsal does not serve {self._host}")
            self.send_error(502)
            return
        self.send_response_only(200)
        self.end_headers()
        self.connection: socket.socket = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False  # a CONNECT with HTTP/1.0 has set it

    def do_GET(self) -> None:
        self._serve(lambda host: self.server.cloud.respond(self, host, None))

    def do_POST(self) -> None:
        body = json.loads(self._body() or b"{}")
        self._serve(lambda host: self.server.cloud.respond(self, host, body))

    def do_PUT(self) -> None:
        content = self._body()
        self._serve(lambda host: self.server.cloud.store(self, host, content))

    def finish(self) -> None:
        super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _serve(self, respond: Callable[[str], Any]) -> None:
        host = self._host or urlsplit(self.path).hostname or ""
        headers = {}
        try:
            status, answer = 200, respond(host)
        except CloudError as error:
            self.server.cloud.refusals.append(str(error))
            status, answer = error.status, {"errorMessage": str(error)}
        except (FunctionFailed, FunctionTimedOut) as failure:
            status, answer = 502, {"errorMessage": str(failure)}
            headers["X-Function-Error"] = "true"
        text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()
