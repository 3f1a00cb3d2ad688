"""What a broker's logins look like to the commands, wherever the broker runs."""

import hashlib
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Connection:
    """How a device connects to the broker."""

    host: str
    port: int
    registry_id: str
    ca_pem: str = ""
    """Certificate of the CA that devices verify the broker with; empty: no TLS."""

    @property
    def ca_sha256(self) -> str:
        """The fingerprint, as `openssl x509 -fingerprint -sha256` prints it; of two CAs, both."""
        certificates = re.findall(r"-----BEGIN.+?END CERTIFICATE-----", self.ca_pem, re.DOTALL)
        return " ".join(map(_fingerprint, certificates))


class Store(Protocol):
    """The password hashes that a broker accepts. Its methods raise ToolError."""

    takes_effect: str
    """When the broker applies a change, as the end of a sentence."""

    def service(self) -> dict[str, str]:
        """Return the environment variables that name the broker's service, for tools.service."""

    def connection(self) -> Connection:
        """Return how a device connects."""

    def hashes(self) -> dict[str, str]:
        """Return the hashes by device id."""

    def change(self, hashes: Mapping[str, str]) -> Iterator[list[str]]:
        """Store hashes; "" removes a login. Yields device ids as their hashes are stored."""


def _fingerprint(certificate: str) -> str:
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
