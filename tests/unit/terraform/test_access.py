"""Logins and rights for a broker that asks: the answers are those of Mosquitto's files."""

from pathlib import Path

import pytest

from local.broker import rights_of
from local.passwords import hashed
from terraform.broker.access import Access, answers, covers, is_password, rules_of
from tests.support.processes import ROOT

ACL = (ROOT / "terraform" / "broker" / "acl").read_text()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "acl").write_text(ACL)
    (tmp_path / "passwords").write_text(f"C-1:{hashed('of C-1')}\nC-2:{hashed('of C-2')}\n")
    own = {"service": "of service", "bridge": "of bridge"}
    lines = [f"{name}:{hashed(password)}\n" for name, password in own.items()]
    (tmp_path / "passwords.own").write_text("".join(lines))
    return tmp_path


def is_allowed(directory: Path, path: str, **question: str) -> bool:
    return answers(Access(directory))[path](question)


@pytest.mark.parametrize(
    ("username", "password", "client_id", "expected"),
    [
        ("C-1", "of C-1", "C-1", True),
        ("C-1", "of C-1", "C-2", False),
        ("C-1", "of C-1", "trigger-bridge", False),
        ("C-1", "of C-1", "", False),
        ("C-1", "of C-2", "C-1", False),
        ("C-3", "of C-1", "C-3", False),
        ("C.1", "of C-1", "C.1", False),
        ("bridge", "of bridge", "bridge-1", True),
        ("bridge", "of bridge", "C-1", False),
        ("service", "of service", "any", True),
        ("service", "of C-1", "any", False),
        ("", "", "", False),
    ],
)
def test_a_login_needs_its_password_and_a_device_its_own_client_id(
    directory: Path, username: str, password: str, client_id: str, *, expected: bool
) -> None:
    question = {"username": username, "password": password, "client_id": client_id}
    assert is_allowed(directory, "/user", **question) is expected


def test_a_question_without_password_or_client_id_is_denied(directory: Path) -> None:
    assert not is_allowed(directory, "/user", username="C-1", password="of C-1")
    assert not is_allowed(directory, "/user", username="C-1", client_id="C-1")


@pytest.mark.parametrize(
    ("username", "permission", "routing_key", "expected"),
    [
        ("C-1", "write", "$devices.C-1.events", True),
        ("C-1", "write", "$devices.C-2.events", False),
        ("C-1", "write", "$devices.C-1.commands", False),
        ("C-1", "read", "$devices.C-1.commands", True),
        ("C-1", "read", "$devices.*.commands", False),
        ("C-1", "read", "$devices.C-2.commands", False),
        ("C-1", "read", "$registries.*.commands", True),
        ("C-1", "read", "$registries.local.commands", True),
        ("C-1", "read", "$registries.#", False),
        ("C-1", "read", "#", False),
        ("bridge", "read", "$devices.*.events", True),
        ("bridge", "read", "$registries.*.commands", False),
        ("bridge", "write", "$commands.x.settled", True),
        ("bridge", "write", "$devices.C-1.commands", False),
        ("service", "write", "$devices.C-1.commands", True),
        ("service", "read", "$commands.x.settled", True),
        ("service", "read", "$registries.*.commands", False),
        ("nobody", "write", "$devices.C-1.events", False),
    ],
)
def test_topics_are_allowed_as_by_the_acl(
    directory: Path, username: str, permission: str, routing_key: str, *, expected: bool
) -> None:
    question = {"username": username, "permission": permission, "routing_key": routing_key}
    assert is_allowed(directory, "/topic", **question) is expected


@pytest.mark.parametrize(
    ("username", "resource", "name", "expected"),
    [
        ("C-1", "queue", "mqtt-subscription-C-1qos0", True),
        ("C-1", "queue", "mqtt-subscription-C-1qos1", True),
        ("C-1", "queue", "mqtt-subscription-C-2qos1", False),
        ("C-1", "queue", "another", False),
        ("bridge", "queue", "mqtt-subscription-bridge-1qos1", True),
        ("C-1", "exchange", "amq.topic", True),
        ("C-1", "exchange", "another", False),
    ],
)
def test_a_device_uses_the_queues_of_its_own_session(
    directory: Path, username: str, resource: str, name: str, *, expected: bool
) -> None:
    question = {"username": username, "resource": resource, "name": name, "permission": "write"}
    assert is_allowed(directory, "/resource", **question) is expected


def test_a_changed_file_counts_at_once(directory: Path) -> None:
    access = Access(directory)
    question = {"username": "C-3", "password": "of C-3", "client_id": "C-3"}
    assert not access.may_log_in(question)
    new = directory / "new"
    new.write_text(f"C-3:{hashed('of C-3')}\n")
    new.replace(directory / "passwords")
    assert access.may_log_in(question)


@pytest.mark.parametrize(
    ("rule", "topic", "expected"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/+/c", True),
        ("a/+/c", "a/#", False),
        ("a/b/c", "a/+/c", False),
        ("a/+/c", "a/b", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "#", False),
    ],
)
def test_a_filter_covers_what_is_inside_it(rule: str, topic: str, *, expected: bool) -> None:
    assert covers(rule, topic) is expected


def test_a_password_is_compared_with_mosquittos_hash() -> None:
    assert is_password("right", hashed("right"))
    assert not is_password("wrong", hashed("right"))
    assert not is_password("", "")


def test_the_local_brokers_use_the_same_rights() -> None:
    assert rights_of("C-1").writes == ("$devices/C-1/events",)
    assert rights_of("bridge").reads == ("$devices/+/events", "$bridges/+/active")
    assert rights_of("bridge").writes == ("$commands/+/settled", "$bridges/+/active")
    denied = [rule.topic for rule in rules_of("bridge", ACL) if rule.action == "deny"]
    assert denied == ["$devices/bridge/#", "$registries/#"]
