"""Starts the reference implementation as a process on the local cloud's database and broker."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from benchmarks.local_cloud import ROOT, LocalCloud, environment, wait_until
from local.api import Api
from local.children import ending_with_parent, free_port
from local.stack import API_KEYS


@contextmanager
def running(cloud: LocalCloud) -> Iterator[tuple[subprocess.Popen[bytes], Api]]:
    """Run it; yield its process and its API."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.reference.app:app", "--port", str(port)]
    command += ["--log-level", "warning"]
    command = ending_with_parent(command, user=0, stop_signal=signal.SIGKILL)
    digest = hashlib.sha256(API_KEYS["backend"].encode()).hexdigest()
    settings = environment({**cloud.settings, "API_KEYS": f"benchmark:backend:{digest}"})
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env=settings,
        start_new_session=True,  # as the local cloud's: the scheduler may share time by sessions
    ) as process:
        api = Api(f"http://127.0.0.1:{port}", API_KEYS["backend"])
        try:
            wait_until(
                lambda: _answers(process, api), "the reference implementation does not respond"
            )
            yield process, api
        finally:
            process.terminate()


def _answers(process: subprocess.Popen[bytes], api: Api) -> bool:
    if process.poll() is not None:
        raise RuntimeError("the reference implementation did not start; its error is printed above")
    with suppress(OSError):
        return api.call("GET", "/openapi.json").status > 0
    return False
