"""What deployed parts ask of the cloud, answered on this machine behind an HTTPS proxy.

Functions by id, Lockbox, a VM's metadata, Monitoring: under their own names, with certificates of
a throw-away CA, so that the deployed code runs unchanged. Who may do what, the topology says.
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
from local.rehearsal.certificates import Authority
from local.rehearsal.topology import READER, VIEWER, Topology

OPERATOR = "operator"
"""The account of whoever deploys: may do everything."""
_METADATA = "169.254.169.254"
_FUNCTIONS = "functions.yandexcloud.net"
_LOCKBOX = "lockbox.api.cloud.yandex.net"
_PAYLOADS = "payload.lockbox.api.cloud.yandex.net"
_MONITORING = "monitoring.api.cloud.yandex.net"
HOSTS = (_FUNCTIONS, _LOCKBOX, _PAYLOADS, _MONITORING)

Invoke = Callable[[str, Any], Any]


class Refused(Exception):
    """The cloud says no, with an HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def token_of(account: str) -> str:
    """An account's IAM token."""
    return f"t1.{account}"


class Cloud:
    """The cloud's interfaces. Whoever has `environment` speaks to these instead of the cloud's."""

    def __init__(
        self,
        topology: Topology,
        authority: Authority,
        *,
        secrets: Mapping[str, dict[str, str]],
        invoke: Invoke,
    ) -> None:
        """`secrets`: entries by secret; `invoke` calls a function by its name."""
        self.refusals: list[str] = []
        self.metrics: list[dict[str, Any]] = []
        self.metadata: dict[str, str] = {}
        self.secrets = {name: [entries] if entries else [] for name, entries in secrets.items()}
        self.contexts = {host: authority.server(host) for host in HOSTS}
        self._topology = topology
        self._invoke = invoke
        self._authority = authority
        self._server = _Server((HOST, 0), _Requests)
        self._server.cloud = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="cloud", daemon=True
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process ask here."""
        proxy = f"http://{HOST}:{self._server.server_port}"
        ca = str(self._authority.ca)
        names = ("http_proxy", "https_proxy")
        return dict.fromkeys(names, proxy) | {"SSL_CERT_FILE": ca, "REQUESTS_CA_BUNDLE": ca}

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: "_Requests", host: str, body: Any) -> Any:
        """The JSON value or text that a request gets. Raises Refused."""
        url = urlsplit(request.path)
        if host == _METADATA:
            return self._read_metadata(url.path.rpartition("/instance/")[2])
        account = request.headers.get("Authorization", "").removeprefix("Bearer t1.")
        if host == _FUNCTIONS:
            return self._call(account, url.path.strip("/"), body)
        if host == _MONITORING:
            self._allow_metrics(account)
            self.metrics.append(body)
            return {}
        secret_id, _, action = url.path.removeprefix("/lockbox/v1/secrets/").partition(
            ":" if request.command == "POST" else "/"
        )
        return self._lockbox(account, secret_id, action, body)

    def _read_metadata(self, path: str) -> str:
        if path == "service-accounts/default/token":
            account = self._topology.machine.values["service_account_id"]
            return json.dumps({"access_token": token_of(account), "expires_in": 3600})
        key = path.removeprefix("attributes/")
        return self.metadata.get(key) or self._topology.metadata(key)

    def _call(self, account: str, function_id: str, event: Any) -> Any:
        function = self._topology.functions.get(function_id)
        if function is None:
            raise Refused(404, f"there is no function {function_id}")
        if account != OPERATOR and not self._topology.may_invoke(account, function_id):
            raise Refused(403, f"{self._name(account)} may not invoke {function.address}")
        return self._invoke(function.name, event)

    def _allow_metrics(self, account: str) -> None:
        wanted = (f"serviceAccount:{account}", "monitoring.editor")
        members = self._topology.all("yandex_resourcemanager_folder_iam_member")
        if wanted not in {(one.values["member"], one.values["role"]) for one in members}:
            raise Refused(403, f"{self._name(account)} may not write metrics")

    def _lockbox(self, account: str, secret_id: str, action: str, body: Any) -> Any:
        if secret_id not in self.secrets:
            raise Refused(404, f"there is no secret {secret_id}")
        versions = self.secrets[secret_id]
        role = READER if action == "payload" else VIEWER
        if account != OPERATOR and not self._topology.may_read(account, secret_id, role):
            raise Refused(403, f"{self._name(account)} has not the role {role} on {secret_id}")
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


class _Requests(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    _host = ""

    def do_CONNECT(self) -> None:
        """Become the host that is asked for, behind TLS."""
        self._host = self.path.partition(":")[0]
        context = self.server.cloud.contexts.get(self._host)
        if context is None:
            self.server.cloud.refusals.append(f"nobody plays {self._host} here")
            self.send_error(502)
            return
        self.send_response_only(200)
        self.end_headers()
        self.connection: socket.socket = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")
        self.close_connection = False  # which CONNECT by HTTP/1.0 would have it

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._serve(json.loads(text or b"{}"))

    def finish(self) -> None:
        super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Keep the screen clean."""

    def _serve(self, body: Any) -> None:
        host = self._host or urlsplit(self.path).hostname or ""
        headers = {}
        try:
            status, answer = 200, self.server.cloud.answer(self, host, body)
        except Refused as refusal:
            self.server.cloud.refusals.append(str(refusal))
            status, answer = refusal.status, {"errorMessage": str(refusal)}
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
