"""Checks a topology: that references exist, and that accounts have the rights to use them."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from local.rehearsal.topology import Function, Resource, Topology

_METHODS = ("get", "put", "post", "delete", "patch", "x-yc-apigateway-any-method")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON = (
    (range(60), ()),  # minutes
    (range(24), ()),  # hours
    (range(1, 32), ()),  # days of the month
    (range(1, 13), _MONTHS),
    (range(1, 8), _DAYS),
    (range(1970, 2100), ()),  # years
)
_DAY_OF_MONTH, _DAY_OF_WEEK = 2, 4


def faults(topology: Topology) -> list[str]:
    """Return all broken references and missing rights, a line each."""
    return [
        *_function_faults(topology),
        *_account_faults(topology),
        *_route_faults(topology),
        *_trigger_faults(topology),
        *_machine_faults(topology),
        *_unused_function_faults(topology),
    ]


def cron_fault(expression: str) -> str:
    """Return what is wrong with a timer's cron expression; empty if it is valid."""
    fields = expression.split()
    if len(fields) != len(_CRON):
        return f"{len(fields)} fields instead of {len(_CRON)}"
    if [fields[_DAY_OF_MONTH], fields[_DAY_OF_WEEK]].count("?") != 1:
        return "exactly one of day of month and day of week must be ?"
    for text, (numbers, names) in zip(fields, _CRON, strict=True):
        if text != "?" and not all(_is_item(item, numbers, names) for item in text.split(",")):
            return f"{text!r} is not valid in its field"
    return ""


def _is_item(item: str, numbers: range, names: Any) -> bool:
    """Return whether this is a value, a range, or a step of either: 5, 1-4, */2, MON-FRI."""
    values, slash, step = item.partition("/")
    if slash and not (step.isdigit() and int(step)):
        return False
    ends = [] if values == "*" else values.split("-")
    return len(ends) <= 2 and all(  # noqa: PLR2004 - the two ends of a range
        end in names or (end.isdigit() and int(end) in numbers) for end in ends
    )


def _function_faults(topology: Topology) -> Iterator[str]:
    versions = {one.values["id"]: one for one in topology.all("yandex_lockbox_secret_version")}
    secrets = {one.values["id"]: one for one in topology.all("yandex_lockbox_secret")}
    for function in topology.functions.values():
        if not function.package.exists():
            yield f"{function.address}: there is no package {function.package}: run make package"
        elif (
            function.package_hash
            != b64encode(sha256(function.package.read_bytes()).digest()).decode()
        ):
            yield f"{function.address}: {function.package} is not the applied package"
        for given in function.secrets:
            variable, version = given["environment_variable"], versions.get(given["version_id"])
            if version is None or version.values["secret_id"] != given["id"]:
                yield f"{function.address}: the secret version of {variable} does not exist"
            elif given["key"] not in keys_of(secrets[given["id"]], version):
                yield f"{function.address}: {variable}: {version.address} has no {given['key']!r}"
            elif not topology.may_read(function.account, given["id"]):
                who = topology.name_of(function.account)
                yield f"{function.address}: {who} may not read the secret of {variable}"


def _account_faults(topology: Topology) -> Iterator[str]:
    """Find accounts that two functions share, and that may read a secret which they do not use."""
    users: dict[str, Function] = {}
    for function in topology.functions.values():
        account = topology.name_of(function.account)
        if function.account in users:
            yield f"{account} is the account of {users[function.account].address} too"
        users[function.account] = function
        used = {given["id"] for given in function.secrets}
        for secret in topology.all("yandex_lockbox_secret"):
            if secret.values["id"] not in used and topology.may_read(
                function.account, secret.values["id"]
            ):
                yield f"{account} may read {secret.address}, which {function.address} does not use"


def keys_of(secret: Resource, version: Resource) -> list[str]:
    """Return the keys of a secret's version."""
    generated = secret.values.get("password_payload_specification") or []
    entries = version.values.get("entries") or []
    return [one["password_key"] for one in generated] + [one["key"] for one in entries]


def _route_faults(topology: Topology) -> Iterator[str]:
    gateway = topology.one("yandex_api_gateway").address
    for path, item in topology.document["paths"].items():
        for method in _METHODS:
            if method in item:
                integration = item[method].get("x-yc-apigateway-integration", {})
                caller = f"{gateway}: {method.upper()} {path}"
                yield from _integration_faults(topology, caller, integration)
    schemes = topology.document.get("components", {}).get("securitySchemes", {})
    for name, scheme in schemes.items():
        if authorizer := scheme.get("x-yc-apigateway-authorizer"):
            caller = f"{gateway}: the authorizer of {name}"
            yield from _call_faults(topology, caller, authorizer.get("function_id"), authorizer)


def _integration_faults(
    topology: Topology, caller: str, integration: dict[str, Any]
) -> Iterator[str]:
    if integration.get("type") != "object_storage":
        yield from _call_faults(topology, caller, integration.get("function_id"), integration)
        return
    bucket, account = integration.get("bucket") or "", integration.get("service_account_id") or ""
    if bucket not in {one.values["bucket"] for one in topology.all("yandex_storage_bucket")}:
        yield f"{caller} reads bucket {bucket}, which does not exist"
    elif not topology.may_read_bucket(account, bucket):
        yield f"{caller}: {topology.name_of(account) or 'nobody'} may not read bucket {bucket}"


def _trigger_faults(topology: Topology) -> Iterator[str]:
    for trigger in topology.all("yandex_function_trigger"):
        target = (trigger.values["function"] or [{}])[0]
        yield from _call_faults(topology, trigger.address, target.get("id"), target)
        for timer in trigger.values["timer"] or []:
            if fault := cron_fault(timer["cron_expression"]):
                yield f"{trigger.address}: cron {timer['cron_expression']!r}: {fault}"


def _machine_faults(topology: Topology) -> Iterator[str]:
    if not topology.all("yandex_compute_instance"):
        return
    machine, settings = topology.machine, json.loads(topology.metadata("broker"))
    account = machine.values["service_account_id"]
    function_id = settings["bridge_environment"].get("BRIDGE_FUNCTION_ID")
    yield from _call_faults(
        topology, f"{machine.address}: the bridge", function_id, {"service_account_id": account}
    )
    versions = {one.values["id"] for one in topology.all("yandex_lockbox_secret_version")}
    for name, reference in _secret_references(settings):
        if not topology.may_read(account, reference["secret_id"]):
            who = topology.name_of(account)
            yield f"{machine.address}: {who} may not read the secret {name!r}"
        if reference.get("version_id", next(iter(versions), "")) not in versions:
            yield f"{machine.address}: the version of the secret {name!r} does not exist"


def _secret_references(settings: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, value in settings.items():
        for reference in value if isinstance(value, list) else [value]:
            if isinstance(reference, dict) and "secret_id" in reference:
                yield name, reference


def _call_faults(
    topology: Topology, caller: str, function_id: str | None, settings: dict[str, Any]
) -> Iterator[str]:
    """Check that a caller's function exists, and that the account in its settings may invoke it."""
    function = topology.functions.get(function_id or "")
    account = settings.get("service_account_id") or ""
    if function is None:
        yield f"{caller} invokes function {function_id}, which does not exist"
    elif not topology.may_invoke(account, function.id):
        yield f"{caller}: {topology.name_of(account) or 'nobody'} may not invoke {function.address}"


def _unused_function_faults(topology: Topology) -> Iterator[str]:
    """Find functions that nothing invokes. `migrate` is invoked by Terraform's apply."""
    mentions = [topology.one("yandex_api_gateway").values["spec"]]
    mentions += [json.dumps(one.values) for one in topology.all("yandex_function_trigger")]
    mentions += [
        one.values["metadata"]["broker"] for one in topology.all("yandex_compute_instance")
    ]
    for function in topology.functions.values():
        invoked = function.name == "migrate" or any(
            re.search(rf"\b{re.escape(function.id)}\b", text) for text in mentions
        )
        if not invoked:
            yield f"{function.address}: no route, trigger or bridge invokes it"
