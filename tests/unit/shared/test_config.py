"""Settings: read from variables, validated, and never shown in errors."""

import pytest

from shared.config import Settings, SettingsInvalid, read

SECRETS = {
    "DATABASE_URL": "postgresql://u:hush-1@host/db",
    "MQTT_PASSWORD": "hush-2",
    "API_KEYS": f"hush-3:read:{'0' * 64}",
}


def test_unset_variables_have_the_documented_defaults() -> None:
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
    assert settings.mqtt_version == "5"


def test_a_variable_has_the_name_of_its_field_in_capitals() -> None:
    settings = read(Settings, {"MIN_ISSUE_CHARGE": "55", "MQTT_TLS": "false", "mqtt_port": "1"})
    assert (settings.min_issue_charge, settings.mqtt_tls) == (55, False)
    assert settings.mqtt_port == Settings().mqtt_port


def test_other_variables_are_ignored() -> None:
    assert read(Settings, {"HOME": "/", "PATH": ""}) == Settings()


def test_an_empty_variable_counts_as_unset() -> None:
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
        ("MQTT_VERSION", "4"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_an_invalid_value_is_refused_naming_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"invalid settings: {name}: "):
        read(Settings, {name: value})


def test_all_invalid_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(Settings, {"MQTT_PORT": "x", "MIN_ISSUE_CHARGE": "y"})
    assert "MQTT_PORT" in str(caught.value)
    assert "MIN_ISSUE_CHARGE" in str(caught.value)


def test_an_error_about_settings_does_not_reveal_values() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        read(Settings, {"MQTT_PORT": "hush", "BOOKING_SECONDS": "hush"})
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_representation_of_settings_hides_secrets() -> None:
    settings = read(Settings, SECRETS)
    assert settings.mqtt_password == SECRETS["MQTT_PASSWORD"]
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())
