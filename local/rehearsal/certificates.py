"""Temporary certificates, made by the deployment's own script."""

import os
import ssl
import subprocess
from pathlib import Path

from local import CannotStart

_SCRIPT = Path(__file__).parents[2] / "terraform" / "broker" / "certificates"


class Authority:
    """A certificate authority in a directory; made there if there is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not self.ca.exists():
            self._run("authority")

    @property
    def ca(self) -> Path:
        """The file with its certificate, for clients."""
        return self.directory / "ca.pem"

    @property
    def revoked(self) -> str:
        """Its certificate revocation list."""
        return (self.directory / "revoked.pem").read_text()

    def certificate(self, host: str) -> str:
        """Return a new server certificate with its key."""
        return self._run("server", host)

    def tls_context(self, host: str) -> ssl.SSLContext:
        """Return the TLS context of a server with a certificate for this host."""
        file = self.directory / f"{host}.pem"
        file.write_text(self.certificate(host))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _run(self, *arguments: str) -> str:
        environment = {"PKI": str(self.directory), "PATH": os.environ["PATH"]}  # noqa: TID251 - for openssl
        command = [str(_SCRIPT), *arguments]
        done = subprocess.run(  # noqa: S603 - our own script
            command, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotStart(f"terraform/broker/certificates {arguments[0]}: {done.stderr}")
        return done.stdout
