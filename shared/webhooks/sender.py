"""Send one message after another to one receiver, over one connection while it lasts.

`http.client` and not requests: the connection goes to an address that was checked, while the
certificate must be the name's; an attempt ends in time whatever the receiver does.
"""

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse

from shared.webhooks.addresses import (
    AddressRefused,
    NameNotFound,
    Resolver,
    Target,
    checked_addresses,
    parse,
    resolve,
)
from shared.webhooks.outcome import TIMEOUT_SECONDS, Outcome

MAX_BODY_BYTES = 16_384
"""How much of a response is read."""


_WORDS: Mapping[type[Exception], str] = {
    AddressRefused: "address_not_public",
    NameNotFound: "name_not_found",
    TimeoutError: "timed_out",
    ssl.SSLCertVerificationError: "certificate_invalid",
    ssl.SSLError: "tls_failed",
    ConnectionRefusedError: "connection_refused",
    ConnectionError: "connection_lost",
    HTTPException: "response_invalid",
    ValueError: "response_invalid",
    OSError: "connection_failed",
}
"""The word for each failure; the first that fits counts."""


@dataclass
class HttpSender:
    """Sends messages by HTTP."""

    allow_private: bool = False
    resolver: Resolver = resolve
    tls: ssl.SSLContext | None = None
    timeout: float = TIMEOUT_SECONDS
    _connection: "_Connection | None" = field(default=None, init=False)

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Make one attempt. It raises nothing, and takes no longer than `timeout` seconds."""
        began = time.monotonic()
        outcome = self._attempt(url, body, headers, _Deadline(self.timeout))
        return replace(outcome, duration_ms=round(1000 * (time.monotonic() - began)))

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _attempt(
        self, url: str, body: bytes, headers: Mapping[str, str], deadline: "_Deadline"
    ) -> Outcome:
        try:
            target = parse(url, allow_private=self.allow_private)
            return self._exchange(target, body, headers, deadline)
        except tuple(_WORDS) as error:
            self.close()
            word = next(_WORDS[kind] for kind in _WORDS if isinstance(error, kind))
            return Outcome(None, "timed_out" if deadline.has_passed else word)
        finally:
            deadline.end()

    def _exchange(
        self, target: Target, body: bytes, headers: Mapping[str, str], deadline: "_Deadline"
    ) -> Outcome:
        """Use the open connection; once it turns out to be closed, or another is needed, a new one.

        Sending twice is safe: both have the same id.
        """
        if self._connection and self._connection.target == target and self._connection.sock:
            try:
                return self._connection.post(body, headers, deadline)
            except (ConnectionError, ssl.SSLEOFError):
                deadline.remaining()
        self.close()
        addresses = checked_addresses(
            target,
            allow_private=self.allow_private,
            seconds=deadline.remaining(),
            resolver=self.resolver,
        )
        if target.scheme == "https" and self.tls is None:
            self.tls = _system_tls()
        self._connection = _Connection(target, addresses, self.tls)
        return self._connection.post(body, headers, deadline)


class _Deadline:
    """Shuts the watched socket down when the time is over, so that whoever waits for it wakes."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    @property
    def has_passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._at

    def remaining(self) -> float:
        """Return the seconds that are left. Raises TimeoutError if there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def watch(self, connected: socket.socket) -> None:
        """Watch this socket."""
        with self._lock:
            self._socket = connected
        connected.settimeout(self.remaining())

    def end(self) -> None:
        """Watch no more."""
        self._timer.cancel()
        with self._lock:
            self._socket = None

    def _shut_down(self) -> None:
        with self._lock, suppress(OSError):  # it may be closed already
            if self._socket is not None:
                # Not SSLSocket.shutdown: it takes the TLS state away from the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """A connection to one of the checked addresses of a host."""

    def __init__(self, target: Target, addresses: list[str], tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port)
        self.target = target
        self._addresses = addresses
        self._tls = tls

    def post(self, body: bytes, headers: Mapping[str, str], deadline: _Deadline) -> Outcome:
        """Send a request; the response's status decides, and little of its body is read."""
        if self.sock is None:
            self._open(deadline)
        deadline.watch(self.sock)
        fixed = {"Host": self.target.authority, "User-Agent": "scooter-accumulator"}
        self.request("POST", self.target.path, body, {**fixed, **headers})
        with closing(self.getresponse()) as response:
            deadline.remaining()  # headers that were cut off look complete
            outcome = Outcome(response.status, retry_after=_retry_after(response))
            self._finish(response)
        return outcome

    def _open(self, deadline: _Deadline) -> None:
        raw = self._connect_to_one(deadline)
        if self.target.scheme == "https" and self._tls:
            try:
                self.sock = self._tls.wrap_socket(
                    raw, server_hostname=self.target.host, do_handshake_on_connect=False
                )
            except BaseException:
                raw.close()
                raise
            deadline.watch(self.sock)
            self.sock.do_handshake()
        else:
            self.sock = raw
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _connect_to_one(self, deadline: _Deadline) -> socket.socket:
        """Connect to the first address that answers; each gets its share of the time left."""
        *others, last = self._addresses
        for number, address in enumerate(others):
            with suppress(OSError):
                share = deadline.remaining() / (len(self._addresses) - number)
                return socket.create_connection((address, self.target.port), timeout=share)
        return socket.create_connection((last, self.target.port), timeout=deadline.remaining())

    def _finish(self, response: HTTPResponse) -> None:
        """Read the rest, so that the connection can be used again; close it if that is too much."""
        try:
            response.read(MAX_BODY_BYTES)
            is_complete = response.isclosed() and not response.length
        except (OSError, HTTPException, ValueError):
            is_complete = False
        if not is_complete:
            self.close()


def _retry_after(response: HTTPResponse) -> float | None:
    """Return the seconds in the header Retry-After, which has a number or a date."""
    text = (response.getheader("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def _system_tls() -> ssl.SSLContext:
    import certifi  # noqa: PLC0415 - not needed for http, which the local cloud uses

    return ssl.create_default_context(cafile=certifi.where())
