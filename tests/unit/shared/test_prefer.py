"""The header Prefer: what is understood, and what is ignored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.prefer import Preferences, preferences_of

NONE = Preferences()
ASYNC = Preferences(respond_async=True)


def read(header: str) -> Preferences:
    return preferences_of({"headers": {"Prefer": header}})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("respond-async", ASYNC),
        ("Respond-Async", ASYNC),
        (" respond-async ; a=b", ASYNC),
        ('respond-async=""', ASYNC),
        ("respond-async, wait=10", Preferences(respond_async=True, wait=10)),
        ("wait=10,respond-async", Preferences(respond_async=True, wait=10)),
        ("wait=0", Preferences(wait=0)),
        ('WAIT = "7"', Preferences(wait=7)),
        ("wait=1, wait=2", Preferences(wait=1)),
        ("return=minimal, handling=lenient, wait=3", Preferences(wait=3)),
        ('odd="a, wait=5", respond-async', ASYNC),
        ("", NONE),
        ("wait", NONE),
        ("wait=", NONE),
        ("wait=-1", NONE),
        ("wait=1.5", NONE),
        ("wait=٣", NONE),
        ("wait=" + "9" * 5000, NONE),
        ("respond-asynchronously", NONE),
        (", ,;=", NONE),
        ('"', NONE),
    ],
)
def test_known_preferences_are_read_and_all_others_ignored(
    header: str, expected: Preferences
) -> None:
    assert read(header) == expected


@pytest.mark.parametrize(
    ("preferences", "seconds"),
    [
        (NONE, None),
        (ASYNC, 0),
        (Preferences(wait=5), 5),
        (Preferences(respond_async=True, wait=5), 5),
    ],
)
def test_the_wait_is_that_of_the_caller(preferences: Preferences, seconds: int | None) -> None:
    assert preferences.max_wait_s == seconds


def test_several_headers_are_one_list() -> None:
    event: dict[str, Any] = {
        "headers": {"prefer": "wait=3"},
        "multiValueHeaders": {"prefer": ["respond-async", "wait=3"]},
    }
    assert preferences_of(event) == Preferences(respond_async=True, wait=3)


@pytest.mark.parametrize("event", [{}, {"headers": None, "multiValueHeaders": None}])
def test_a_request_without_the_header_has_no_preferences(event: dict[str, Any]) -> None:
    assert preferences_of(event) == NONE


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    found = read(header)
    assert read(str(found)) == found
