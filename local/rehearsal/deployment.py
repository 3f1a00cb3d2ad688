"""Deploys to the fake cloud with the real provider, rehearses the deployment, and destroys it."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from local import CannotStart
from local.rehearsal import Fault, by_hand, from_cloud, rehearsal
from local.rehearsal.terraform import Terraform, copy_checkout
from local.yandex_cloud import YandexCloud
from local.yandex_cloud.listing import resources

_INSTALL = (
    "install the provider (docs/deploying.md, Try it without an account), or set TERRAFORM_CHECK"
)
_OTHER_BACKENDS = {
    "external": {"external_mqtt": '{ host = "mqtt.example.com", ca_file = "broker/pki/ca.pem" }'}
}
"""Every other mqtt_backend, with the variables that it needs."""

Say = Callable[[str], None]


class NoProvider(CannotStart):
    """Terraform does not find the provider."""


def main(*, say: Say = print) -> int:
    """Deploy, rehearse and destroy; return 0 if all of it works, else 1 after a line per fault.

    Raises NoProvider, CannotStart.
    """
    with TemporaryDirectory(prefix="accumulator-deployment-") as root:
        terraform = Terraform(copy_checkout(Path(root)))
        if reason := terraform.reason_without_provider():
            raise NoProvider(f"{reason}: {_INSTALL}")
        try:
            with YandexCloud(Path(root) / "cloud") as cloud:
                return Deployment(terraform, cloud, Path(root), say).play()
        except Fault as fault:
            for line in str(fault).splitlines():
                say(f"The deployment fails: {line}")
            return 1


class Deployment:
    """One deployment, from nothing to nothing."""

    def __init__(self, terraform: Terraform, cloud: YandexCloud, root: Path, say: Say) -> None:
        self._terraform = terraform
        self._cloud = cloud
        self._root = root
        self._say = say
        self._terraform.environment |= cloud.environment() | {"TF_VAR_unlock_wait_seconds": "2"}

    def play(self) -> int:
        """Run all steps; return the rehearsal's exit code. Raises Fault, CannotStart."""
        self._terraform.prepare()
        with self._timed("apply"):
            self._terraform.apply()
        self._check_plan_is_empty("after the apply")
        count = len(self._terraform.resources())
        self._say(f"The real provider has applied {count} resources; the second plan is empty.")
        self._check_drift()
        self._say("Changes by hand are seen by the plan, and healed by the apply.")
        code = self._rehearse()
        for backend, variables in _OTHER_BACKENDS.items():
            self._change_backend(backend, variables)
        with self._timed("destroy"):
            self._terraform.destroy()
        if left := resources(self._cloud.state):
            raise Fault(f"destroy leaves {len(left)} resources, such as {' '.join(left[0])}")
        self._say("Destroy has left nothing.")
        return code

    def _check_plan_is_empty(self, when: str) -> None:
        with self._timed("plan"):
            changes = self._terraform.changes()
        if changes:
            found = [f"{address} ({', '.join(names)})" for address, names in changes.items()]
            raise Fault(f"the plan {when} is not empty: {'; '.join(found)}")

    def _check_drift(self) -> None:
        expected = by_hand.change(self._cloud)
        changes = set(self._terraform.changes())
        if not expected <= changes:
            unseen = ", ".join(sorted(expected - changes))
            raise Fault(f"a plan does not see what was changed by hand: {unseen}")
        with self._timed("apply of what was changed by hand"):
            self._terraform.apply_changes()
        self._check_plan_is_empty("after healing")

    def _change_backend(self, backend: str, variables: Mapping[str, str]) -> None:
        given = {"mqtt_backend": backend, **variables}
        self._terraform.environment |= {f"TF_VAR_{name}": value for name, value in given.items()}
        with self._timed(f'apply with mqtt_backend = "{backend}"'):
            self._terraform.apply()
        self._check_plan_is_empty(f'with mqtt_backend = "{backend}"')

    def _rehearse(self) -> int:
        packages = self._root / "packages"
        packages.mkdir()
        (packages / "console").symlink_to(self._terraform.checkout / "dist" / "console")
        shown = from_cloud.show(self._cloud.state, self._terraform.outputs(), packages)
        file = self._root / "topology.json"
        file.write_text(json.dumps(shown))
        return rehearsal.main(topology=file, packages=packages, say=self._say)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        """Say how long a step took, and how many calls of the API it made."""
        begun, before = time.monotonic(), self._calls()
        yield
        calls = (self._calls() - before).total()
        self._say(f"  {step}: {time.monotonic() - begun:.1f} s, {calls} calls")

    def _calls(self) -> Counter[str]:
        return self._cloud.server.calls + self._cloud.http.calls
