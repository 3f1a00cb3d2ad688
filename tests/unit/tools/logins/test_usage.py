"""Which logins were never used."""

from typing import Any

from tools.logins.usage import reasons_unused

CABINETS: list[dict[str, Any]] = [
    {"device_id": "seen", "last_seen_at": "2026-12-01T08:00:00Z"},
    {"device_id": "silent", "last_seen_at": None},
]


def test_a_login_is_unused_if_its_cabinet_was_never_seen_or_does_not_exist() -> None:
    assert reasons_unused(["seen", "silent", "unknown"], CABINETS) == {
        "silent": "never-connected",
        "unknown": "no-cabinet",
    }
