"""Check that a state with IoT Core's resources is led out of them: make terraform-check.

Runs in a copy of terraform/ with a stand-in for the provider, and leaves a state behind.
"""
# ruff: noqa: INP001, T201 - a script that prints

import json
from pathlib import Path

from commands import expect_refusal, fail, terraform

STATE = Path("terraform.tfstate")
PLANNED = {
    "yandex_iot_core_registry.main[0]": ["forget"],
    'yandex_iot_core_device.cabinet["C-001"]': ["forget"],
    "yandex_function_trigger.mqtt[0]": ["forget"],
    'yandex_lockbox_secret.this["iot_core_password"]': ["delete"],
    'yandex_message_queue.dead_letters["mqtt-trigger"]': ["delete"],
}
REFUSAL = (
    "Yandex switched IoT Core off on 1 December 2026. Use mosquitto",
    '"Leaving IoT Core" in docs/deploying.md',
)


def main() -> None:
    """Apply, add the resources of an earlier release to the state, and apply again."""
    expect_refusal(*REFUSAL, mqtt_backend="iot_core")
    terraform("apply", "-auto-approve", "-no-color")
    add_resources_of_an_earlier_release()
    terraform("plan", "-no-color", "-out", "leaving.tfplan")
    if (changes := planned_changes()) != PLANNED:
        fail(f"planned: {json.dumps(changes, indent=2)}")
    terraform("apply", "-no-color", "leaving.tfplan")
    terraform("plan", "-detailed-exitcode", "-no-color")
    print("left IoT Core: its resources are forgotten, second plan empty")


def planned_changes() -> dict[str, list[str]]:
    """The actions of the plan, by address."""
    plan = json.loads(terraform("show", "-json", "leaving.tfplan"))
    changes = {
        change["address"]: change["change"]["actions"] for change in plan["resource_changes"]
    }
    return {address: actions for address, actions in changes.items() if actions != ["no-op"]}


def add_resources_of_an_earlier_release() -> None:
    """Add to the state what `mqtt_backend = "iot_core"` created."""
    state = json.loads(STATE.read_text())
    groups = {(group["type"], group["name"]): group for group in state["resources"]}
    secrets, queues = (
        groups["yandex_lockbox_secret", "this"],
        groups["yandex_message_queue", "dead_letters"],
    )
    for group, key in ((secrets, "iot_core_password"), (queues, "mqtt-trigger")):
        like = group["instances"][0]
        group["instances"].append(like | {"index_key": key})
    provider = secrets["provider"]
    for type_, name, key in (
        ("yandex_iot_core_registry", "main", 0),
        ("yandex_iot_core_device", "cabinet", "C-001"),
        ("yandex_function_trigger", "mqtt", 0),
    ):
        instance = {
            "index_key": key,
            "schema_version": 0,
            "attributes": {"id": "are0", "name": name},
        }
        group = {"mode": "managed", "type": type_, "name": name, "provider": provider}
        state["resources"].append(group | {"instances": [instance]})
    state["serial"] += 1
    STATE.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
