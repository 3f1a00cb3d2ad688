"""Check mqtt_backend = "external": make terraform-check.

Runs in a copy of terraform/ with a stand-in for the provider, and leaves a state behind.
"""
# ruff: noqa: INP001, T201 - a script that prints

import json
from pathlib import Path

from commands import expect_refusal, terraform

SECRETS = Path(".secrets")
CA = "broker/pki/ca.pem"
HOST = "mqtt.example.com"


def main() -> None:
    """Expect each mistake's text, then run the tests in tests/external, apply, and destroy."""
    check_mistakes()
    given = {"mqtt_backend": "external", "external_mqtt": json.dumps({"host": HOST, "ca_file": CA})}
    remedy = "run `python3 terraform/secret_files.py mqtt bridge`"
    expect_refusal("mqtt_bridge_password is missing", remedy, **given)
    for login in ("service", "bridge"):
        (SECRETS / f"mqtt_{login}_password").write_text(f"{login} \n")
    expect_refusal("mqtt_service_password contains a space or a line end", **given)
    for login in ("service", "bridge"):
        (SECRETS / f"mqtt_{login}_password").write_text(f"password-of-{login}")
    options = [f"-var={name}={value}" for name, value in given.items()]
    terraform("test", "-no-color", "-test-directory=tests/external")
    terraform("apply", "-auto-approve", "-no-color", *options)
    terraform("plan", "-detailed-exitcode", "-no-color", *options)
    terraform("destroy", "-auto-approve", "-no-color", *options)
    print("external broker: applied, second plan empty, destroyed")


def check_mistakes() -> None:
    """Plan with one mistake each."""
    for broker, words in (
        (None, 'with mqtt_backend = "external", give the broker, such as { host = '),
        ({"host": ""}, '"" or null is not a host name or IPv4 address'),
        ({"host": f"mqtts://{HOST}:8883"}, f'"mqtts://{HOST}:8883" or null is not a host name'),
        ({"host": HOST, "devices_host": "a b"}, '"a b" is not a host name'),
        ({"host": HOST, "port": 70000}, "the ports [70000,null] are not whole numbers from 1 to"),
        ({"host": HOST, "devices_port": 0}, "the ports [8883,0] are not whole numbers"),
        ({"host": HOST, "ca_file": "none.pem"}, 'ca_file "none.pem" is not a file with a cert'),
        ({"host": HOST, "ca_file": "main.tf"}, 'ca_file "main.tf" is not a file with a cert'),
        ({"host": HOST, "bridge_login": "service"}, "two different names"),
    ):
        expect_refusal(words, mqtt_backend="external", external_mqtt=json.dumps(broker))
    unused = "external_mqtt: it is used only with mqtt_backend"
    expect_refusal(unused, external_mqtt=json.dumps({"host": HOST}))
    expect_refusal('bridges: more than one needs mqtt_backend = "external"', bridges="2")


if __name__ == "__main__":
    main()
