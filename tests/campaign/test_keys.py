"""The time that it takes to refuse an API key reveals nothing about the valid keys."""

import hmac

import pytest

from shared.callers import identify
from tests.support.service import KEYS, api_keys


class Comparisons:
    """Replaces the module hmac and stores what was compared."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def compare_digest(self, given: str, known: str) -> bool:
        self.made.append((given, known))
        return hmac.compare_digest(given, known)


@pytest.mark.parametrize("key", [*KEYS.values(), "guessed", "", "\ud800"])
def test_a_key_is_compared_with_every_valid_key_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    comparisons = Comparisons()
    monkeypatch.setattr("shared.callers.hmac", comparisons)
    identify(api_keys(), f"Bearer {key}")
    known = [entry.rpartition(":")[2] for entry in api_keys().split(",")]
    assert [other for _, other in comparisons.made] == known
    assert len({given for given, _ in comparisons.made}) == 1
    assert all(len(given) == 64 for given, _ in comparisons.made), "digests of equal length"
