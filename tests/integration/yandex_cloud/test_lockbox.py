"""Lockbox in the fake: versions and payloads of secrets."""

from typing import Any

from grpc import StatusCode

from tests.support.yandex_api import Api, refused


def _add(api: Api, secret_id: str, **values: str) -> Any:
    entries = [{"key": key, "text_value": value} for key, value in values.items()]
    return api.call("Secret", "AddVersion", secret_id=secret_id, payload_entries=entries)


def _payload(api: Api, secret_id: str, version_id: str = "") -> dict[str, str]:
    found = api.call("Payload", "Get", secret_id=secret_id, version_id=version_id)
    return {one.key: one.text_value for one in found.entries}


def test_secret_without_a_version_has_no_payload(api: Api) -> None:
    secret = api.create("Secret", name="keys")

    assert not secret.current_version.id
    with refused(StatusCode.FAILED_PRECONDITION, f"Secret {secret.id} has no current version"):
        _payload(api, secret.id)


def test_new_version_is_the_current_one_and_older_ones_stay(api: Api) -> None:
    secret = api.create("Secret", name="keys")
    first = _add(api, secret.id, a="1", b="2")
    second = _add(api, secret.id, a="3", b="")  # an empty value removes the entry

    assert api.call("Secret", "Get", secret_id=secret.id).current_version.id == second.id
    assert _payload(api, secret.id) == {"a": "3"}
    assert _payload(api, secret.id, first.id) == {"a": "1", "b": "2"}
    listed = api.call("Secret", "ListVersions", secret_id=secret.id).versions
    assert [one.id for one in listed] == [second.id, first.id]


def test_destroyed_version_cannot_be_read_until_it_is_restored(api: Api) -> None:
    secret = api.create("Secret", name="keys")
    version = _add(api, secret.id, a="1")
    which = {"secret_id": secret.id, "version_id": version.id}

    api.call("Secret", "ScheduleVersionDestruction", **which)
    with refused(StatusCode.FAILED_PRECONDITION, "is scheduled for destruction"):
        _payload(api, secret.id, version.id)

    api.call("Secret", "CancelVersionDestruction", **which)
    assert _payload(api, secret.id) == {"a": "1"}


def test_password_is_generated_as_specified(api: Api) -> None:
    secret = api.create(
        "Secret", name="mqtt",
        password_payload_specification={
            "password_key": "password", "length": 40, "include_punctuation": {"value": False},
        },
    )  # fmt: skip

    first, second = _add(api, secret.id), _add(api, secret.id)

    passwords = [_payload(api, secret.id, one.id)["password"] for one in (first, second)]
    assert [(len(one), one.isalnum()) for one in passwords] == [(40, True), (40, True)]
    assert passwords[0] != passwords[1]


def test_payload_over_the_limit_is_refused(api: Api) -> None:
    secret = api.create("Secret", name="keys")

    with refused(StatusCode.INVALID_ARGUMENT, "at most 65536"):
        _add(api, secret.id, a="x" * 40_000, b="y" * 40_000)
    with refused(StatusCode.INVALID_ARGUMENT, "at least one entry"):
        _add(api, secret.id)


def test_version_of_another_secret_is_not_found(api: Api) -> None:
    one, other = api.create("Secret", name="one"), api.create("Secret", name="other")
    version = _add(api, other.id, a="1")

    with refused(StatusCode.NOT_FOUND, f"Version {version.id} not found"):
        _payload(api, one.id, version.id)


def test_protected_secret_is_kept(api: Api) -> None:
    secret = api.create("Secret", name="keys", deletion_protection=True)

    with refused(StatusCode.FAILED_PRECONDITION, "has deletion protection enabled"):
        api.call("Secret", "Delete", secret_id=secret.id)
