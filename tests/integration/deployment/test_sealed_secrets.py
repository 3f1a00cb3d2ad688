"""The deployer's secrets, encrypted at rest with age."""

import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.programs import needs

pytestmark = needs("age", "bash")

SECRETS = {".secrets/database_password": "a password", "broker/pki/ca.key": "the CA's key"}
NAMES = (".secrets", "broker/pki")


class Home:
    """A deployer's directory terraform/, with a key pair outside it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "terraform"
        self.identity = directory / "key.txt"
        for name, text in SECRETS.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)
        (self.root / "recipients.txt").write_text(new_key(self.identity))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "terraform" / "sealed_secrets", *arguments],
            env={"SECRETS_HOME": str(self.root), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def plain(self) -> dict[str, str]:
        """The secrets that are readable now."""
        files = [self.root / name for name in SECRETS]
        return {
            str(file.relative_to(self.root)): file.read_text() for file in files if file.exists()
        }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def new_key(file: Path) -> str:
    """Make a key pair; return the public key."""
    made = subprocess.run(
        ["age-keygen", "-o", file], capture_output=True, text=True, check=True
    ).stderr
    return made.split()[-1] + "\n"


def test_sealed_secrets_are_unreadable_until_they_are_opened(home: Home) -> None:
    assert home.run("seal").returncode == 0
    assert not any((home.root / name).exists() for name in NAMES)
    for file in home.root.rglob("*"):
        if file.is_file():
            assert not any(text.encode() in file.read_bytes() for text in SECRETS.values())
    done = home.run("open", str(home.identity))
    assert done.returncode == 0, done.stderr
    assert home.plain == SECRETS


def test_another_key_opens_nothing(home: Home, tmp_path: Path) -> None:
    home.run("seal")
    new_key(tmp_path / "another.txt")
    done = home.run("open", str(tmp_path / "another.txt"))
    assert done.returncode == 1
    assert "not decrypted; nothing was changed" in done.stderr
    assert home.plain == {}
    assert not list(home.root.glob(".opening.*"))
    assert home.run("open", str(home.identity)).returncode == 0


@pytest.mark.parametrize(
    ("recipients", "reason"), [("", "no public keys"), ("no key", "not encrypted")]
)
def test_without_a_valid_public_key_nothing_is_removed(
    home: Home, recipients: str, reason: str
) -> None:
    (home.root / "recipients.txt").write_text(recipients)
    done = home.run("seal")
    assert done.returncode == 1
    assert reason in done.stderr
    assert home.plain == SECRETS
    assert not (home.root / "secrets.tar.age").exists()


def test_opening_replaces_no_secrets(home: Home) -> None:
    home.run("seal")
    home.run("open", str(home.identity))
    (home.root / ".secrets/database_password").write_text("a newer one")
    done = home.run("open", str(home.identity))
    assert "exists already; nothing was changed" in done.stderr
    assert "a newer one" in home.plain.values()
