"""Settings: read from variables, checked, and silent about their values."""

import pytest

from shared.config import Settings, SettingsInvalid, read

SECRETS = {
    "DATABASE_URL": "postgresql://u:hush-1@host/db",
    "MQTT_PASSWORD": "hush-2",
    "API_KEYS": f"hush-3:read:{'0' * 64}",
}


def test_without_variables_the_documented_defaults_hold() -> None:
    settings = read(Settings, {})
    assert settings == Settings()
    assert settings.unlock_wait_seconds == 15
    assert settings.command_ttl_seconds == 15
    assert settings.booking_seconds == 1800
    assert settings.reconcile_seconds == 600
    assert settings.offline_after_seconds == 180
    assert settings.min_issue_charge == 80
    assert settings.registry_id == "local"
    assert settings.mqtt_tls


def test_a_variable_is_named_as_its_field_in_capitals() -> None:
    settings = read(Settings, {"MIN_ISSUE_CHARGE": "55", "MQTT_TLS": "false", "mqtt_port": "1"})
    assert (settings.min_issue_charge, settings.mqtt_tls) == (55, False)
    assert settings.mqtt_port == Settings().mqtt_port


def test_other_variables_are_ignored() -> None:
    assert read(Settings, {"HOME": "/", "PATH": ""}) == Settings()


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert read(Settings, {"MQTT_PORT": "", "REGISTRY_ID": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNLOCK_WAIT_SECONDS", "0"),
        ("UNLOCK_WAIT_SECONDS", "-1"),
        ("UNLOCK_WAIT_SECONDS", "soon"),
        ("BOOKING_SECONDS", "inf"),
        ("BOOKING_SECONDS", "nan"),
        ("MIN_ISSUE_CHARGE", "101"),
        ("MIN_ISSUE_CHARGE", "80.5"),
        ("POLL_SPREAD_SECONDS", "601"),
        ("MQTT_PORT", "0"),
        ("MQTT_PORT", "65536"),
        ("MQTT_TLS", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_value_is_refused_by_the_variables_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"settings are wrong: {name}: "):
        read(Settings, {name: value})


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(Settings, {"MQTT_PORT": "x", "MIN_ISSUE_CHARGE": "y"})
    assert "MQTT_PORT" in str(caught.value)
    assert "MIN_ISSUE_CHARGE" in str(caught.value)


def test_a_refusal_never_shows_a_value() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(Settings, {"MQTT_PORT": "hush", "BOOKING_SECONDS": "hush"})
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_settings_never_show_a_secret() -> None:
    settings = read(Settings, SECRETS)
    assert settings.mqtt_password == SECRETS["MQTT_PASSWORD"]
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())
