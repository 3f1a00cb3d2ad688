"""Cursors: decoded to what was encoded, or refused."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cursor
from shared.errors import InvalidRequest
from shared.services.accumulators import MovementId
from shared.services.cabinets import Distance
from shared.values import Id

KINDS: list[tuple[Any, ...]] = [(Distance, Id), (Id,), (MovementId,), (datetime, UUID)]


def forge(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("key", "kinds"),
    [
        ((120, "C-1"), (Distance, Id)),
        (("a.b_c:D-9",), (Id,)),
        ((2**63 - 1,), (MovementId,)),
        ((datetime(2026, 11, 22, 10, 0, 0, 123456, UTC), UUID(int=7)), (datetime, UUID)),
    ],
)
def test_a_cursor_decodes_to_its_sort_key(key: tuple[Any, ...], kinds: tuple[Any, ...]) -> None:
    assert cursor.decode(cursor.encode(*key), *kinds) == list(key)


def test_a_cursor_needs_no_escaping_in_a_url() -> None:
    assert cursor.encode("??>>", "~~~").replace("-", "").replace("_", "").isalnum()


def test_without_a_cursor_the_sort_key_is_empty() -> None:
    assert cursor.decode(None, Distance, Id) == [None, None]


@pytest.mark.parametrize("kinds", KINDS, ids=str)
@pytest.mark.parametrize(
    "forged",
    [
        "",
        "=",
        "garbage",
        "!!!",
        "ключ",
        "\x00",
        forge([]),
        forge({}),
        forge(None),
        forge("C-1"),
        forge(7),
        forge([None]),
        forge([None, None]),
        forge([[], {}]),
        forge(["C-1", "C-1", "C-1"]),
        forge([-1, "C-1"]),
        forge([10**30]),
        forge([10**30, "C-1"]),
        forge([1, "x" * 65]),
        forge(["';drop table accumulators;--"]),
        forge(["\x00"]),
        forge(["\ud800"]),
        forge([1e400]),
        forge(["9999-99-99T00:00:00Z", "no-uuid"]),
        "W1tb" * 100,
        base64.urlsafe_b64encode(b"[" * 300).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_forged_cursor_is_an_invalid_request(forged: str, kinds: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cursor.decode(forged, *kinds)
    assert [fault["field"] for fault in caught.value.errors] == ["cursor"]


@given(text=st.text(max_size=60), kinds=st.sampled_from(KINDS))
def test_any_text_is_a_valid_cursor_or_an_invalid_request(
    text: str, kinds: tuple[Any, ...]
) -> None:
    with suppress(InvalidRequest):
        assert len(cursor.decode(text, *kinds)) == len(kinds)
