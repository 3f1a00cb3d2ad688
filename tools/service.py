"""The service as the tools reach it: by URL and API key, with retries that double nothing."""

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, get_args
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from pydantic import BaseModel
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from shared import config
from shared.callers import Scope
from tools import ToolError, printable

DEFAULT_URL = "http://127.0.0.1:8080"
PAUSES = (0.5, 1, 2, 4, 8, 16, 16)
"""Seconds between the attempts of a request, unless the service names a time."""
FIRST_PAUSES = (0.5, 1)
"""The same for the first request: a wrong URL should be noticed soon."""
MAX_PAUSE = 60.0
_ATTEMPTS_WITH_ONE_KEY = 3
_SCOPES = get_args(Scope)
_TIMEOUTS = (10, 60)  # to connect, and between two parts of a response
_RETRIED = {429, 500, 502, 503, 504}
_LOCAL_HOSTS = {"127.0.0.1", "::1", "localhost"}
_BODY_SHOWN = 200

EPILOG = """\
The service is named by --url, or by SCOOTER_ACCUMULATOR_URL; its key is best given in the
environment variable SCOOTER_ACCUMULATOR_KEY, or in a file with --key-file. If the certificate of a
service is signed by a CA of your own, name it: REQUESTS_CA_BUNDLE=ca.pem"""


class _Environment(BaseModel):
    """The environment variables of all tools."""

    scooter_accumulator_url: str = DEFAULT_URL
    scooter_accumulator_key: str = ""


class Response(NamedTuple):
    """A response of the service, below 500."""

    status: int
    body: Any


class Unreachable(ToolError):
    """The service did not answer as often as a request was tried. It may later."""


class Refused(ToolError):
    """The service refused a request."""

    def __init__(self, method: str, path: str, response: Response) -> None:
        super().__init__(f"{method} {path} was refused: {response.status} {_shown(response.body)}")
        self.status = response.status


class _Interrupted(Exception):
    """An attempt failed in a way that another may not. The message says how."""

    def __init__(
        self, message: str, pause: float | None = None, *, is_in_progress: bool = False
    ) -> None:
        super().__init__(message)
        self.pause = pause
        self.is_in_progress = is_in_progress


class _Bearer(requests.auth.AuthBase):
    """Sends the API key. Unlike a header, it is not replaced by an entry of ~/.netrc."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Service:
    """A client of the HTTP API. Raises ToolError, with one line that says what to do.

    A request is tried again after a lost connection, a timeout, 429 or 5xx. A POST keeps its
    idempotency key, unless an attempt that died keeps the key in use.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        notify: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.url = url
        self.notify = notify
        """Is called with one line before each further attempt."""
        self._sleep = sleep
        self._session = requests.Session()
        self._session.auth = _Bearer(key)
        self._session.headers["Accept"] = "application/json"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def require(self, scope: Scope) -> None:
        """Check that the URL is the service, and that the key has at least this scope."""
        response = self._request("GET", "/v1/me", {}, pauses=FIRST_PAUSES)
        body = response.body if isinstance(response.body, dict) else {}
        if response.status in {401, 403}:
            raise ToolError(f"{self.url} does not know the key ({response.status})")
        granted = body.get("scope")
        if response.status != 200 or granted not in _SCOPES:  # noqa: PLR2004 - OK
            raise ToolError(
                f"{self.url} answers, but it is not this service: GET /v1/me returned"
                f" {response.status} {_shown(response.body)}"
            )
        if _SCOPES.index(granted) < _SCOPES.index(scope):
            raise ToolError(
                f"the key {body.get('caller')!r} has the scope {granted}; {scope} is needed"
            )

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """GET; return the body of a 200."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._succeed("GET", path, {"params": given})

    def post(self, path: str, body: bytes) -> Any:
        """POST JSON that is safe to send twice; return the body of a 200 or 201."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        return self._succeed("POST", path, {"data": body, "headers": headers})

    def _succeed(self, method: str, path: str, parts: Mapping[str, Any]) -> Any:
        response = self._request(method, path, parts)
        if response.status not in {200, 201}:
            raise Refused(method, path, response)
        return response.body

    def _request(
        self,
        method: str,
        path: str,
        parts: Mapping[str, Any],
        pauses: tuple[float, ...] = PAUSES,
    ) -> Response:
        for attempt, pause in enumerate((*pauses, None), start=1):
            try:
                return self._attempt(method, path, parts)
            except _Interrupted as error:
                if pause is None:
                    raise Unreachable(f"{self.url}: {error}; tried {attempt} times") from None
                if error.is_in_progress and attempt >= _ATTEMPTS_WITH_ONE_KEY:
                    parts["headers"]["Idempotency-Key"] = str(uuid4())
                self.notify(f"{error}; trying again ({attempt} of {len(pauses)})")
                self._sleep(min(max(pause, error.pause or 0), MAX_PAUSE))
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, method: str, path: str, parts: Mapping[str, Any]) -> Response:
        try:
            response = self._session.request(
                method, self.url + path, timeout=_TIMEOUTS, allow_redirects=False, **parts
            )
        except requests.exceptions.SSLError as error:
            raise ToolError(
                f"the certificate of {self.url} cannot be verified ({_reason(error)}); a CA of"
                " your own is named by REQUESTS_CA_BUNDLE"
            ) from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL) as error:
            raise ToolError(f"{self.url} is not a valid URL: {error}") from None
        except requests.exceptions.Timeout:
            raise _Interrupted("no response in time") from None
        except requests.exceptions.RequestException as error:
            raise _Interrupted(f"no connection ({_reason(error)})") from None
        return self._checked(response)

    def _checked(self, response: requests.Response) -> Response:
        if response.is_redirect:
            target = response.headers["Location"]
            raise ToolError(f"{self.url} redirects to {target}; give that address as --url")
        try:
            body = response.json() if response.content else None
        except (ValueError, RecursionError):
            body = response.text
        code = body.get("code") if isinstance(body, dict) else None
        if response.status_code in _RETRIED or code == "request_in_progress":
            raise _Interrupted(
                f"{response.status_code} {_shown(body)}",
                _retry_after(response.headers),
                is_in_progress=code == "request_in_progress",
            )
        return Response(response.status_code, body)


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which service, and with which key."""
    group = parser.add_argument_group("the service", EPILOG)
    text = f"its URL; default: SCOOTER_ACCUMULATOR_URL, or {DEFAULT_URL}"
    group.add_argument("--url", help=text)
    keys = group.add_mutually_exclusive_group()
    keys.add_argument("--key-file", type=Path, metavar="FILE", help="a file with the API key")
    text = "the API key itself; other users of this machine can see it in the list of processes"
    keys.add_argument("--key", help=text)


def connect(args: argparse.Namespace, environment: Mapping[str, str] | None = None) -> Service:
    """Return a client for the service that the arguments or the environment name.

    Nothing is sent yet. `Service.require` checks URL and key.
    """
    found = os.environ if environment is None else environment  # noqa: TID251 - a tool's settings
    settings = config.read(_Environment, found)
    url = _url(args.url or settings.scooter_accumulator_url)
    if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in _LOCAL_HOSTS:
        _print(f"warning: the key travels to {url} without encryption; use https")
    return Service(url, _key(args, settings), notify=_print)


def _print(line: str) -> None:
    print(f"tools: {line}", file=sys.stderr, flush=True)


def _url(given: str) -> str:
    """Return a URL without a path, checked."""
    url = given.strip().rstrip("/").removesuffix("/v1")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ToolError(f"{given!r} is not the URL of a service; an example: {DEFAULT_URL}")
    return url


def _key(args: argparse.Namespace, settings: _Environment) -> str:
    key = (args.key or settings.scooter_accumulator_key).strip()
    if args.key_file:
        try:
            key = args.key_file.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ToolError(f"the key file {args.key_file} cannot be read: {error}") from None
    if not key:
        raise ToolError("an API key is needed: set SCOOTER_ACCUMULATOR_KEY, or name a --key-file")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ToolError("the API key must be one line of visible ASCII characters")
    return key


def _reason(error: BaseException) -> str:
    """Return the innermost cause of a failed connection, in a few words."""
    inner: Any = error
    while True:
        arguments = [getattr(inner, "reason", None), *getattr(inner, "args", ())]
        deeper = next((one for one in arguments if isinstance(one, BaseException)), None)
        if deeper is None:
            break
        inner = deeper
    text = str(inner.strerror if isinstance(inner, OSError) and inner.strerror else inner)
    return re.sub(r"\A.*(?:: |\] )", "", " ".join(text.split()))[:_BODY_SHOWN]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return Retry().parse_retry_after(headers["Retry-After"])
    except (KeyError, InvalidHeader, ValueError, OverflowError):
        return None


def _shown(body: Any) -> str:
    """Return what a response says, on one line."""
    if isinstance(body, dict) and "code" in body:
        said = body.get("errors") or body.get("detail") or body.get("title") or ""
        text = f"{body['code']}: {said}"
    else:
        text = repr(body)
    return printable(" ".join(text.split()))[:_BODY_SHOWN]
