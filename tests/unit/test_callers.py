"""Callers: whose key it is, and what it may do."""

from hashlib import sha256
from typing import Any, get_args

import pytest

from shared.callers import Caller, Scope, caller_of, identify
from shared.errors import Forbidden, Unauthenticated


def entry(name: str, scope: str, key: str) -> str:
    return f"{name}:{scope}:{sha256(key.encode()).hexdigest()}"


KEYS = ",".join([entry("app", "backend", "secret"), entry("desk", "operator", "other")])


def test_a_key_is_known_by_its_digest() -> None:
    caller = identify(KEYS, "Bearer secret")
    assert caller is not None
    assert (caller.name, caller.scope) == ("app", "backend")


@pytest.mark.parametrize(
    "authorization", ["bearer other", "BEARER other", "Bearer   other  "], ids=repr
)
def test_the_scheme_is_read_as_http_reads_it(authorization: str) -> None:
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
def test_what_is_no_key_of_ours_is_nobodys(authorization: str) -> None:
    assert identify(KEYS, authorization) is None


def test_without_keys_nobody_is_known() -> None:
    assert identify("", "Bearer ") is None
    assert identify("", "Bearer secret") is None


def test_keys_may_stand_on_lines_of_their_own() -> None:
    lines = "\n" + KEYS.replace(",", "\n ") + "\n"
    assert identify(lines, "Bearer secret") is not None
    assert identify(lines, "Bearer other") is not None


def test_a_digest_may_be_written_in_capitals() -> None:
    name, scope, digest = entry("app", "read", "secret").split(":")
    assert identify(f"{name}:{scope}:{digest.upper()}", "Bearer secret") is not None


def test_a_key_with_a_scope_that_does_not_exist_is_nobodys() -> None:
    assert identify(entry("app", "admin", "secret"), "Bearer secret") is None


@pytest.mark.parametrize("has", get_args(Scope))
@pytest.mark.parametrize("needs", get_args(Scope))
def test_a_scope_may_do_what_those_before_it_may(has: Scope, needs: Scope) -> None:
    caller = Caller(name="app", scope=has)
    order = ["read", "backend", "operator"]
    if order.index(has) >= order.index(needs):
        caller.require(needs)
    else:
        with pytest.raises(Forbidden, match=f"needs scope {needs}; the key has {has}"):
            caller.require(needs)


def test_the_caller_is_who_the_authorizer_says() -> None:
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
def test_without_the_authorizers_word_there_is_no_caller(event: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        caller_of(event)


def test_every_request_has_another_id_for_what_it_makes() -> None:
    first, second = (Caller(name="app", scope="read") for _ in range(2))
    assert first.new_id != second.new_id


def test_a_caller_never_shows_the_key() -> None:
    assert "secret" not in repr(identify(KEYS, "Bearer secret"))
