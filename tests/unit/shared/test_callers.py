"""Callers: identified by their keys, limited by their scopes."""

from hashlib import sha256
from typing import Any, get_args

import pytest

from shared.callers import Caller, Scope, caller_of, identify
from shared.errors import Forbidden, Unauthenticated


def entry(name: str, scope: str, key: str) -> str:
    return f"{name}:{scope}:{sha256(key.encode()).hexdigest()}"


KEYS = ",".join([entry("app", "backend", "secret"), entry("desk", "operator", "other")])


def test_a_caller_is_identified_by_the_digest_of_its_key() -> None:
    caller = identify(KEYS, "Bearer secret")
    assert caller is not None
    assert (caller.name, caller.scope) == ("app", "backend")


@pytest.mark.parametrize(
    "authorization", ["bearer other", "BEARER other", "Bearer   other  "], ids=repr
)
def test_the_authorization_scheme_is_case_insensitive(authorization: str) -> None:
    caller = identify(KEYS, authorization)
    assert caller is not None
    assert caller.name == "desk"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "secret",
        "Basic secret",
        "Bearersecret",
        "Bearer Secret",
        "Bearer secret other",
        "Bearer " + sha256(b"secret").hexdigest(),
        "Bearer ключ",
        "Bearer \ud800",
        "Bearer " + "x" * 100_000,
    ],
    ids=lambda value: repr(value)[:30],
)
def test_an_unknown_or_malformed_key_identifies_nobody(authorization: str) -> None:
    assert identify(KEYS, authorization) is None


def test_without_configured_keys_nobody_is_identified() -> None:
    assert identify("", "Bearer ") is None
    assert identify("", "Bearer secret") is None


def test_keys_may_be_on_separate_lines() -> None:
    lines = "\n" + KEYS.replace(",", "\n ") + "\n"
    assert identify(lines, "Bearer secret") is not None
    assert identify(lines, "Bearer other") is not None


def test_a_digest_may_be_in_capitals() -> None:
    name, scope, digest = entry("app", "read", "secret").split(":")
    assert identify(f"{name}:{scope}:{digest.upper()}", "Bearer secret") is not None


def test_a_key_with_an_unknown_scope_identifies_nobody() -> None:
    assert identify(entry("app", "admin", "secret"), "Bearer secret") is None


@pytest.mark.parametrize("granted", get_args(Scope))
@pytest.mark.parametrize("needed", get_args(Scope))
def test_a_scope_includes_all_lower_scopes(granted: Scope, needed: Scope) -> None:
    caller = Caller(name="app", scope=granted)
    scopes = ["read", "backend", "operator"]
    if scopes.index(granted) >= scopes.index(needed):
        caller.require(needed)
    else:
        with pytest.raises(Forbidden, match=f"needs scope {needed}; the key has scope {granted}"):
            caller.require(needed)


def test_the_caller_is_read_from_the_authorizer_context() -> None:
    event = {"requestContext": {"authorizer": {"name": "app", "scope": "read"}}}
    caller = caller_of(event)
    assert (caller.name, caller.scope) == ("app", "read")


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"requestContext": None},
        {"requestContext": {}},
        {"requestContext": {"authorizer": None}},
        {"requestContext": {"authorizer": {"name": "app"}}},
        {"requestContext": {"authorizer": {"scope": "read"}}},
        {"requestContext": {"authorizer": {"name": "", "scope": "read"}}},
        {"requestContext": {"authorizer": {"name": "app", "scope": "admin"}}},
        {"headers": {"Authorization": "Bearer secret"}},
    ],
    ids=repr,
)
def test_an_event_without_an_authorizer_context_has_no_caller(event: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        caller_of(event)


def test_each_request_has_a_different_new_id() -> None:
    first, second = (Caller(name="app", scope="read") for _ in range(2))
    assert first.new_id != second.new_id


def test_a_caller_does_not_reveal_its_key() -> None:
    assert "secret" not in repr(identify(KEYS, "Bearer secret"))
