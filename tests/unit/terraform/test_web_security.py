"""terraform/web_security, which `make terraform-check` does not reach."""

from tests.support.processes import ROOT


def test_profile_forbids_training_with_requests() -> None:
    text = (ROOT / "terraform" / "web_security" / "main.tf").read_text()
    _, _, profile = text.partition('resource "yandex_sws_security_profile" "main"')

    # The provider requires the argument. Requests carry API keys.
    arguments = dict(
        line.split("#")[0].split("=", 1) for line in profile.splitlines() if "=" in line
    )
    found = {name.strip(): value.strip() for name, value in arguments.items()}
    assert found["disallow_data_processing"] == "true"
