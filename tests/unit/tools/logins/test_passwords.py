"""Password hashes in the format of Mosquitto's password file."""

from local.passwords import hashed, matches


def test_a_hash_matches_its_password_only() -> None:
    assert matches("secret", hashed("secret"))
    assert not matches("other", hashed("secret"))


def test_the_same_password_has_different_hashes() -> None:
    assert hashed("secret") != hashed("secret")


def test_no_password_matches_a_missing_hash_or_one_of_another_kind() -> None:
    for stored in ("", "$6$c2FsdA==$a2V5", "$7$1$c2FsdA==$a2V5", "plain"):
        assert not matches("secret", stored)
