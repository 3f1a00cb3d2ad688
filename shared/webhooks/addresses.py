"""The addresses of webhooks: https, and public addresses only.

A name is resolved and checked when the webhook is made, and again before each connection, which
goes to a checked address itself. So a name that points elsewhere later reaches nothing private.
"""

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import SplitResult, urlsplit

MAX_URL_LENGTH = 2000
RESOLVE_SECONDS = 5.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int, float], list[str]]
"""Takes a host, a port and the seconds it may take; returns the addresses. Raises NameNotFound."""

_URL = re.compile(r"[!#-;=?-\[\]_a-z~\u00a1-\uffff]+")
"""No blanks, control characters, backslashes or others that parsers disagree on."""
_NETWORKS = {
    "0.0.0.0/8": "this host",
    "10.0.0.0/8": "a private network",
    "100.64.0.0/10": "a provider's private network",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local, where clouds serve metadata",
    "172.16.0.0/12": "a private network",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "reserved",
    "192.168.0.0/16": "a private network",
    "198.18.0.0/15": "benchmarking, where the cloud runs functions",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/128": "this host",
    "::1/128": "loopback",
    "fc00::/7": "a private network",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
    "2001::/23": "reserved",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4, which contains an IPv4 address",
    "3fff::/20": "documentation",
}
_REFUSED = [(ipaddress.ip_network(network), name) for network, name in _NETWORKS.items()]
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")


class AddressRefused(ValueError):
    """A webhook may not have this address; the message says why."""


class NameNotFound(ValueError):
    """The name has no address, or the answer took too long."""


@dataclass(frozen=True)
class Target:
    """Where a URL leads to."""

    scheme: str
    host: str
    """In ASCII, without brackets or a final dot."""
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = self.port == {"https": 443, "http": 80}[self.scheme]
        return host if is_default else f"{host}:{self.port}"


def parse(url: str, *, allow_private: bool) -> Target:
    """Return where a URL leads to, without resolving its name. Raises AddressRefused.

    `allow_private` allows http as well.
    """
    if len(url) > MAX_URL_LENGTH or not _URL.fullmatch(url):
        raise AddressRefused(
            f"must be a URL of at most {MAX_URL_LENGTH} characters, others than letters escaped"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"must be a URL: {error}") from None
    schemes = ("https", "http") if allow_private else ("https",)
    if parts.scheme not in schemes:
        raise AddressRefused(f"must begin with {' or '.join(f'{s}://' for s in schemes)}")
    if "@" in parts.netloc:
        raise AddressRefused("must have no user name or password")
    if parts.fragment or "#" in url:
        raise AddressRefused("must have no fragment (#)")
    if port == 0:
        raise AddressRefused("must have a port from 1 to 65535")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise AddressRefused("must have a path and a query in ASCII, others percent-encoded")
    default = 443 if parts.scheme == "https" else 80
    return Target(parts.scheme, _host_of(parts), port or default, path)


def _host_of(parts: SplitResult) -> str:
    """Return the host in ASCII: full-width digits become ordinary ones."""
    try:
        host = (parts.hostname or "").encode("idna").decode().removesuffix(".").lower()
    except UnicodeError:
        host = ""
    if not re.fullmatch(r"[a-z0-9._:-]+", host):
        raise AddressRefused("must have a host name")
    return host


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host. Raises NameNotFound, after `seconds` at the latest."""
    found: SimpleQueue[list[str]] = SimpleQueue()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            answers = []
        found.put([str(address[0]) for *_, address in answers])

    Thread(target=look_up, name="name resolution", daemon=True).start()
    try:
        addresses = found.get(timeout=max(seconds, 0.001))
    except Empty:
        raise NameNotFound(f"{host} was not resolved within {seconds:.0f} s") from None
    if not addresses:
        raise NameNotFound(f"{host} has no address")
    return list(dict.fromkeys(addresses))


def checked_addresses(
    target: Target,
    *,
    allow_private: bool,
    seconds: float = RESOLVE_SECONDS,
    resolver: Resolver = resolve,
) -> list[str]:
    """Resolve the target's host; return its addresses, all of which are public.

    Raises AddressRefused if one is not, and NameNotFound.
    """
    addresses = resolver(target.host, target.port, seconds)
    if not allow_private:
        for address in addresses:
            if why := why_not_public(address):
                where = "" if address == target.host else f", to which {target.host} resolves,"
                raise AddressRefused(f"must have a public address: {address}{where} is {why}")
    return addresses


def why_not_public(text: str) -> str | None:
    """Return why an address is not public; None if it is."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    for network, name in _REFUSED:
        if address.version == network.version and address in network:
            return name
    if address.version == 6 and address not in _GLOBAL_IPV6:  # noqa: PLR2004 - IPv6
        return "reserved"
    return None
