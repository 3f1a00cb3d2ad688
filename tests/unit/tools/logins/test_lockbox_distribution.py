"""How logins are distributed over a deployment's secrets, and in which order these change."""

import pytest

from local.passwords import hashed
from tools import ToolError
from tools.logins.lockbox import PAYLOAD_BYTES, distribute, phases

HASH = hashed("secret")


def logins(count: int) -> dict[str, str]:
    return {f"device-{number}": HASH for number in range(count)}


def test_a_secret_holds_585_logins() -> None:
    assert PAYLOAD_BYTES // len(HASH) == 585


def test_three_thousand_logins_fill_the_first_six_of_eight_secrets() -> None:
    changes = distribute([{}] * 8, logins(3000))
    assert [len(change) for change in changes] == [585, 585, 585, 585, 585, 75, 0, 0]


def test_a_new_login_goes_to_the_first_secret_with_room() -> None:
    assert distribute([logins(585), {}], {"new": HASH}) == [{}, {"new": HASH}]


def test_the_room_of_a_removed_login_is_used_again() -> None:
    changes = distribute([logins(585), {}], {"device-7": "", "new": HASH})
    assert changes == [{"device-7": "", "new": HASH}, {}]


def test_a_new_password_stays_in_the_secret_of_the_old_one() -> None:
    assert distribute([{}, {"a": HASH}], {"a": hashed("new")})[0] == {}


def test_an_entry_that_has_not_changed_makes_no_version() -> None:
    assert distribute([{"a": HASH}, {}], {"a": HASH}) == [{}, {}]


def test_a_login_in_two_secrets_is_removed_from_both() -> None:
    assert distribute([{"a": HASH}, {"a": HASH}], {"a": ""}) == [{"a": ""}, {"a": ""}]


def test_a_login_in_two_secrets_is_in_one_after_its_rotation() -> None:
    assert distribute([{"a": HASH}, {"a": HASH}], {"a": "new"}) == [{"a": "new"}, {"a": ""}]


def test_an_entry_that_has_grown_moves_to_a_secret_with_room() -> None:
    changes = distribute([{"list": "12", "a": "345"}, {}], {"list": "1234567"}, capacity=8)
    assert changes == [{"list": ""}, {"list": "1234567"}]


def test_a_moved_entry_is_stored_before_it_is_removed() -> None:
    steps = [*phases([{"list": "", "b": ""}, {"list": "1234567"}])]
    assert steps == [(0, {"b": ""}), (1, {"list": "1234567"}), (0, {"list": ""})]


def test_logins_without_room_are_refused_with_the_setting_to_raise() -> None:
    with pytest.raises(ToolError, match="none was stored: raise cabinet_login_secrets"):
        distribute([logins(585)], {"new": HASH})
