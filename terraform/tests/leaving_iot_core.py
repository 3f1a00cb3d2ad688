"""Check that a state with IoT Core's resources is led out of them: make terraform-check.

Runs in a copy of terraform/ with a stand-in for the provider, and leaves a state behind.
"""
# ruff: noqa: INP001, S603, S607, T201 - a script that runs terraform and prints

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

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
    refused = terraform("plan", "-no-color", "-var", "mqtt_backend=iot_core", status=1)
    words = " ".join(refused.replace("│", " ").split())
    if not all(part in words for part in REFUSAL):
        fail(f"iot_core is refused with {refused}")
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


def terraform(*arguments: str, status: int = 0) -> str:
    """Run terraform, expect this exit status and no request to IoT Core; return what it printed."""
    done = subprocess.run(["terraform", *arguments], check=False, capture_output=True, text=True)
    if done.returncode != status or "yandex_iot_core_registry.main[0]: " in done.stdout:
        fail(f"terraform {' '.join(arguments)} printed {done.stdout}{done.stderr}")
    return done.stdout if status == 0 else done.stderr


def fail(what: str) -> NoReturn:
    """End with what was found."""
    sys.exit(f"leaving IoT Core: {what}")


if __name__ == "__main__":
    main()
