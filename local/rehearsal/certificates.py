"""Throw-away certificates, made by the script that makes the deployment's."""

import os
import ssl
import subprocess
from pathlib import Path

from local import CannotStart

_SCRIPT = Path(__file__).parents[2] / "terraform" / "broker" / "certificates"


class Authority:
    """A CA of its own in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._run("authority")

    @property
    def ca(self) -> Path:
        """Whoever trusts this trusts all that it has signed."""
        return self.directory / "ca.pem"

    @property
    def revoked(self) -> str:
        """The list of what no longer holds."""
        return (self.directory / "revoked.pem").read_text()

    def certificate(self, host: str) -> str:
        """A server's certificate with its key."""
        return self._run("server", host)

    def server(self, host: str) -> ssl.SSLContext:
        """The TLS of a server that plays this host."""
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
