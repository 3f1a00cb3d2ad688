"""Passwords of logins at the broker: hashes as in Mosquitto's password file, and devices' own."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

_ITERATIONS = 101  # Mosquitto's own default
_SALT_BYTES = 12


def hashed(password: str) -> str:
    """Return a password in the format of Mosquitto's password file, with a random salt."""
    return _hashed(password, secrets.token_bytes(_SALT_BYTES))


def matches(password: str, stored: str) -> bool:
    """Return whether `stored` is a hash of this password, made by `hashed`."""
    _, kind, iterations, salt, _ = [*stored.split("$"), "", "", "", ""][:5]
    if (kind, iterations) != ("7", str(_ITERATIONS)):
        return False
    return hmac.compare_digest(_hashed(password, base64.b64decode(salt)), stored)


def _hashed(password: str, salt: bytes) -> str:
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


class OwnPasswords:
    """Hashes of devices' own passwords in a file, which the embedded broker reads as well.

    The hash "" means that the device may not log in. A device that is not in the file logs in with
    the password that all local devices share.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_from: tuple[int, int] | None = None
        self._hashes: dict[str, str] = {}

    def hashes(self) -> Mapping[str, str]:
        """Return the hashes by device id; the file is read only if it has changed."""
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return {}
        if self._read_from != (found := (status.st_ino, status.st_mtime_ns)):
            self._hashes = json.loads(self._file.read_text())
            self._read_from = found
        return self._hashes

    def change(self, hashes: Mapping[str, str]) -> None:
        """Write these hashes to the file; the other devices keep theirs."""
        new = self._file.with_name(f"{self._file.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps({**self.hashes(), **hashes}))
        new.replace(self._file)
